"""Keeping a result: files to download, links to share, and what comes back from both."""

import base64
import io
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import gradio as gr
import torch

import latents as latent_files
from backends.decoders import DecoderError, Stored
from backends.inverters import Inversion
from backends.weights import WeightsError
from config import ConfigError
from editor import Edit, Editor
from latents import LatentsError
from sharing import Shared, ShareError, ShareStore
from ui.fetching import fetched
from ui.handlers import Handlers, Update
from ui.links import LinkError, Panel, SeedLink, address, read_seed_link, seed_query
from ui.pictures import status
from ui.session import Work

KEPT = 50  # delete tokens that a browser remembers
OTHER_MODEL = (
    "This was made with another version of the model: the picture may differ from the one that was shared."
)


class Keeping:
    """Handlers around one ShareStore."""

    def __init__(self, handlers: Handlers, store: ShareStore) -> None:
        self.handlers = handlers
        self.store = store

    # Files

    def png(self, work: Work | None) -> Update:
        """A lossless file of the edited picture."""
        work, editor = self._present(work)
        with self.handlers.lock:
            image = editor.render(work.inversion(editor), work.edit)
        buffer = io.BytesIO()
        image.save(buffer, "PNG", compress_level=3)
        return self._download(work, "png", "image/png", buffer)

    def npz(self, work: Work | None) -> Update:
        """The latent before and after the edit, readable by numpy with allow_pickle=False."""
        work, editor = self._present(work)
        with self.handlers.lock:
            both = torch.cat([editor.edited(work.latents, work.edit), work.latents])
        buffer = io.BytesIO()
        decoder = work.inversion(editor).generator
        latent_files.save(buffer, both, work.domain, decoder, ["edited", "inverted"])
        return self._download(work, "npz", "application/octet-stream", buffer)

    def open_file(self, path: str | None, domain: str) -> Update:
        """Continue with a latent that was downloaded here, or that another tool wrote."""
        if path is None:
            raise LatentsError("Choose a .npz or .npy file with latents.")
        saved = latent_files.load(Path(path))
        name = saved.domain if saved.domain in self.handlers.domains else domain
        editor = self.handlers.editor(name)
        decoder = saved.decoding(editor.generator)
        codes = latent_files.fit(saved.values, editor.generator.layers, editor.generator.dim)
        place = saved.names.index("inverted") if "inverted" in saved.names else 0
        own = saved.fingerprint in ("", editor.generator.fingerprint)
        inversion = Inversion(codes[place : place + 1].to(editor.generator.mean()), decoder)
        work = Work.of(editor, inversion, self.handlers.own_panel(editor))
        message = "Latent opened. Drag a slider to edit it." if own else OTHER_MODEL
        return {**self.handlers.settings(editor, work.panel), **self.handlers.show(work, message)}

    # Links

    def share(
        self, work: Work | None, days: float, tokens: Mapping[str, str] | None, headers: Mapping[str, str]
    ) -> Update:
        """A link to this picture: for a seed all in itself, for a photograph through the store."""
        work, editor = self._present(work)
        if work.seed is not None:
            query = seed_query(SeedLink(work.domain, work.seed, work.edit, work.panel))
            text = (
                "Anyone with this link sees this picture. It contains everything itself and does not expire."
            )
            return {
                **self._link(address(query, headers)),
                "status": status(text, "done"),
                "delete": _hidden(),
            }
        identity, token = self.store.add(self._record(work, editor), int(days))
        known = dict(list((tokens or {}).items())[-KEPT + 1 :])
        text = (
            f"Anyone with this link sees this picture, for {int(days)} days. The latent is stored, "
            "your photograph is not."
        )
        return {
            **self._link(address(f"?share={identity}", headers)),
            "tokens": {**known, identity: token},
            "work": replace(work, shared=identity),
            "status": status(text, "done"),
            "delete": gr.Button(visible=True),
        }

    def delete(self, work: Work | None, tokens: Mapping[str, str] | None) -> Update:
        """Take back the link of this picture; only the browser that made it has the token."""
        identity = work.shared if work else ""
        token = (tokens or {}).get(identity)
        if token is None:
            raise ShareError("Only the browser that made this link can delete it.")
        self.store.delete(identity, token)
        return {
            "tokens": {key: value for key, value in (tokens or {}).items() if key != identity},
            "work": work and replace(work, shared=""),
            "status": status("The link is deleted. It shows nothing any more, to anyone.", "done"),
            "link": gr.Textbox("", visible=False),
            "copy": _hidden(),
            "delete": _hidden(),
        }

    # Arriving at the page

    def open(self, query: str, tokens: Mapping[str, str] | None, session: str = "") -> Iterator[Update]:
        """What the address asks for (`?share=`, `?seed=`), otherwise the first domain's first sample."""
        asked = parse_qs(query.removeprefix("?"), max_num_fields=100)
        first = asked.get("domain", [""])[0]
        first = first if first in self.handlers.domains else next(iter(self.handlers.domains))
        try:
            if "share" in asked:
                yield from self._open_record(asked["share"][0], tokens)
            elif "seed" in asked:
                yield from self._open_seed(read_seed_link(asked))
            else:
                yield from self.handlers.choose(first, session=session)
        except (ShareError, LinkError, LatentsError, DecoderError, WeightsError) as error:
            if isinstance(error, WeightsError):  # of another domain, or there is nothing to be shown
                first = next(iter(self.handlers.domains))
            for update in self.handlers.choose(first, session=session):
                yield {**update, "status": status(str(getattr(error, "public", error)), "problem")}

    def _open_record(self, identity: str, tokens: Mapping[str, str] | None) -> Iterator[Update]:
        shared = self.store.open(identity)
        if shared.domain not in self.handlers.domains:
            raise ShareError(
                f"This picture needs the model “{shared.domain}”, which this server does not have."
            )
        editor = self.handlers.editor(shared.domain)
        yield from fetched(editor, editor.generator)
        if shared.latents.shape[1:] != (editor.generator.layers, editor.generator.dim):
            raise ShareError("This picture was made with another model, which this server no longer has.")
        delta = {name: torch.from_numpy(values) for name, values in shared.delta.items()}
        decoder = Stored(shared.fingerprint, shared.decoder, delta).restored(editor.generator)
        panel, edit, remarks = self._usable(editor, _panel(shared.panel), shared.edit)
        if shared.fingerprint != editor.generator.fingerprint:
            remarks.insert(0, OTHER_MODEL)
        values = torch.from_numpy(shared.latents).to(editor.generator.mean())
        until = time.strftime("%d %B %Y", time.gmtime(shared.expires))
        work = replace(Work.of(editor, Inversion(values, decoder), panel), edit=edit, shared=identity)
        update = self._opened(
            editor, work, remarks, f"A shared picture (until {until}). Its sliders are yours to move."
        )
        yield {**update, "delete": gr.Button(visible=identity in (tokens or {}))}

    def _open_seed(self, link: SeedLink) -> Iterator[Update]:
        if link.domain not in self.handlers.domains:
            raise LinkError(f"This link needs the model “{link.domain}”, which this server does not have.")
        editor = self.handlers.editor(link.domain)
        yield from fetched(editor, editor.generator)
        panel, edit, remarks = self._usable(editor, link.panel, link.edit)
        work = replace(self.handlers.sampled(editor, link.seed, panel), edit=edit)
        yield self._opened(
            editor, work, remarks, f"A shared picture, number {link.seed}. Its sliders are yours to move."
        )

    def _opened(self, editor: Editor, work: Work, remarks: list[str], message: str) -> Update:
        update = {**self.handlers.settings(editor, work.panel), **self.handlers.show(work, message)}
        if remarks:
            update["status"] = status(" ".join(remarks), "problem")
        if work.seed is not None:
            update["seed"] = work.seed
        return {**update, "tabs": gr.Tabs(selected="edit")}

    def _usable(self, editor: Editor, panel: Panel, edit: Edit) -> tuple[Panel, Edit, list[str]]:
        """What of a link this server can still show, within the sliders' ranges; and what it cannot."""
        remarks: list[str] = []
        shown = self.handlers.own_panel(editor, panel.source, panel.layers, panel.count, panel.keep)
        try:
            self.handlers.shown(editor, shown)
        except ConfigError:
            shown = self.handlers.own_panel(editor)
            remarks.append("The chosen layers do not exist here; all sliders of the first source are shown.")
        kept: Edit = {}
        lost: list[str] = []
        for name, value in edit.items():
            try:
                direction = editor.direction(name)
            except ConfigError:
                lost.append(name)
            else:
                kept[name] = min(max(value, direction.low), direction.high)
        if lost:
            remarks.append(f"Sliders that no longer exist were left out: {', '.join(lost)[:200]}.")
        return shown, kept, remarks

    def _record(self, work: Work, editor: Editor) -> Shared:
        panel = {"source": work.panel.source, "layers": work.panel.layers, "count": work.panel.count}
        panel |= {"keep": ", ".join(work.panel.keep)} if work.panel.keep else {}
        stored = Stored.of(work.inversion(editor).generator)
        return Shared(
            work.domain,
            stored.fingerprint,
            work.latents.cpu().float().numpy(),
            dict(work.edit),
            panel,
            stored.decoder,
            {name: tensor.cpu().numpy() for name, tensor in (stored.delta or {}).items()},
        )

    def _present(self, work: Work | None) -> tuple[Work, Editor]:
        if work is None:
            raise ConfigError("There is no picture yet: upload a photograph, or choose a sample.")
        return work, self.handlers.editor(work.domain)

    def _download(self, work: Work, ending: str, kind: str, buffer: io.BytesIO) -> Update:
        """A file inside the message, so that no face is left in a folder of the server."""
        name = re.sub(r"\W+", "-", f"{work.domain}-{work.seed if work.seed is not None else 'photo'}-edited")
        data = base64.b64encode(buffer.getvalue()).decode()
        file = {"name": f"{name}.{ending}", "type": kind, "data": data, "made": time.time()}
        return {"download": file, "status": status(f"{name}.{ending} is downloaded.", "done")}

    def _link(self, link: str) -> Update:
        return {"link": gr.Textbox(link, visible=True), "copy": gr.Button(visible=True)}


def _panel(stored: Mapping[str, Any]) -> Panel:
    count = stored.get("count")
    return Panel(
        str(stored.get("source", "")),
        str(stored.get("layers", "all")),
        count if isinstance(count, int) else 10,
        tuple(name for name in str(stored.get("keep", "")).split(", ") if name),
    )


def _hidden() -> Any:
    return gr.Button(visible=False)
