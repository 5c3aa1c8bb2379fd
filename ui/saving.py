"""Handlers: files to download, links to share, and what comes back from both. Rules as in `domain`."""

import base64
import io
import re
import time
from collections.abc import Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import torch

import latents as latent_files
from backends.decoders import DecoderError, Stored
from backends.inverters import Inversion
from backends.photos import write_photo
from backends.weights import WeightsError
from config import ConfigError
from editor import Edit, Editor
from latents import LatentsError
from sharing import Shared, ShareError, ShareStore
from ui import views
from ui.domain import Domain
from ui.fetching import fetched
from ui.links import LinkError, SeedLink, address, parsed, read_seed_link, seed_query
from ui.models import Models
from ui.pictures import status
from ui.state import Panel, Visit, Work
from ui.widgets import Update

MOST_TOKENS = 50  # of links that a browser can delete
OTHER_MODEL = (
    "This was made with another version of the model: the picture may differ from the one that was shared."
)
SEED_LINK = "Anyone with this link sees this picture. It contains everything itself and does not expire."
RECORD_LINK = "Anyone with this link sees this picture, for {} days. "
WITHOUT_LOOK = "The latent is stored, your photograph is not."
WITH_LOOK = "The look of your photograph is stored in small, the photograph itself is not."


@dataclass
class Saving:
    """Files, and one ShareStore."""

    models: Models
    store: ShareStore

    # Files

    def picture(self, visit: Visit) -> Update:
        """A file of what is shown: the edited picture, or the whole photograph with it at its own size.

        PNG, which loses nothing, unless the photograph came as something else: then JPEG of quality 95.
        """
        work, photo = _present(visit), visit.photo
        buffer, kind = io.BytesIO(), "PNG"
        if visit.whole and work.origin and photo:
            image = photo.image
            if work.edit:
                self.models.paste(visit.domain, work).patch(image).onto(image)
            kind = "PNG" if photo.content.startswith(b"\x89PNG") else "JPEG"
        else:
            image = self.models.render(visit.domain, work)
        write_photo(image, buffer, kind)
        return _download(visit, work, kind.lower().replace("jpeg", "jpg"), f"image/{kind.lower()}", buffer)

    def npz(self, visit: Visit) -> Update:
        """The latent before and after the edit, readable by numpy with allow_pickle=False."""
        work = _present(visit)
        inversion = work.inversion(self.models.editor(visit.domain))
        both = torch.cat([self.models.edited(visit.domain, work), inversion.latents])
        buffer = io.BytesIO()
        latent_files.save(buffer, both, visit.domain, inversion.generator, ["edited", "inverted"])
        return _download(visit, work, "npz", "application/octet-stream", buffer)

    def open_file(self, visit: Visit, path: str | None) -> Update:
        """Continue with a latent that was downloaded here, or that another tool wrote."""
        if path is None:
            raise LatentsError("Choose a .npz or .npy file with latents.")
        saved = latent_files.load(Path(path))
        name = saved.domain if saved.domain in self.models.domains else visit.domain
        editor = self.models.editor(name)
        place = saved.names.index("inverted") if "inverted" in saved.names else 0
        with self.models.lock:  # what a generator is like may be known only from its weights
            codes = latent_files.fit(saved.values, editor.generator.layers, editor.generator.dim)
            own = saved.fingerprint in ("", editor.generator.fingerprint)
            values = codes[place : place + 1].to(editor.generator.mean())
            work = Work.of(editor, Inversion(values, saved.decoding(editor.generator)))
        visit.show(name, work, self.models.panel(name))
        text = "Latent opened. Drag a slider to edit it." if own else OTHER_MODEL
        return views.everything(self.models, visit, text)

    # Links

    def share(
        self,
        visit: Visit,
        days: float,
        look: bool,
        tokens: Mapping[str, str] | None,
        headers: Mapping[str, str],
    ) -> Update:
        """A link to this picture: for a seed all in itself, for a photograph through the store.

        Without `look` it holds nothing that an inverter added to the generator for this photograph.
        """
        work, text, update = _present(visit), SEED_LINK, Update()
        if work.seed is not None:
            query = seed_query(SeedLink(visit.domain, work.seed, work.edit, visit.panel))
        else:
            shown = work if look else replace(work, decoder=None)
            visit.link, token = self.store.add(self._record(visit, shown), int(days))
            stored = WITHOUT_LOOK if shown.decoder is None else WITH_LOOK
            query, text = f"?share={visit.link}", RECORD_LINK.format(int(days)) + stored
            known = dict(list((tokens or {}).items())[-MOST_TOKENS + 1 :])
            update["tokens"] = {**known, visit.link: token}
        return {
            **update,
            "link": gr.Textbox(address(query, headers), visible=True),
            "copy": gr.Button(visible=True),
            "delete": gr.Button(visible=work.seed is None),
            "status": status(text, "done"),
        }

    def delete(self, visit: Visit, tokens: Mapping[str, str] | None) -> Update:
        """Take back the link that was made or opened last; only the browser that made it has the token."""
        identity = visit.link
        token = (tokens or {}).get(identity)
        if token is None:
            raise ShareError("Only the browser that made this link can delete it.")
        self.store.delete(identity, token)
        visit.link = ""
        return {
            "tokens": {key: value for key, value in (tokens or {}).items() if key != identity},
            "status": status("The link is deleted. It shows nothing any more, to anyone.", "done"),
            "link": gr.Textbox("", visible=False),
            "copy": gr.Button(visible=False),
            "delete": gr.Button(visible=False),
        }

    # Arriving at the page

    def open(self, visit: Visit, query: str, tokens: Mapping[str, str] | None) -> Iterator[Update]:
        """What the address asks for (`?share=`, `?seed=`), otherwise the first domain's first sample."""
        first, domain = next(iter(self.models.domains)), Domain(self.models)
        try:
            asked = parsed(query)
            wanted = asked.get("domain", [""])[0]
            first = wanted if wanted in self.models.domains else first
            if "share" in asked:
                yield from self._open_record(visit, asked["share"][0], tokens)
            elif "seed" in asked:
                yield from self._open_seed(visit, read_seed_link(asked))
            else:
                yield from domain.choose(visit, first)
        except (ShareError, LinkError, LatentsError, DecoderError, WeightsError) as error:
            if isinstance(error, WeightsError):  # of another domain, or there is nothing to be shown
                first = next(iter(self.models.domains))
            for update in domain.choose(visit, first):
                yield {**update, "status": status(str(getattr(error, "public", error)), "problem")}

    def _open_record(self, visit: Visit, identity: str, tokens: Mapping[str, str] | None) -> Iterator[Update]:
        shared = self.store.open(identity)
        editor = yield from self._ready(shared.domain)
        with self.models.lock:  # what a generator is like may be known only from its weights
            if shared.latents.shape[1:] != (editor.generator.layers, editor.generator.dim):
                raise ShareError("This picture was made with another model, which this server no longer has.")
            delta = {name: torch.from_numpy(array) for name, array in shared.delta.items()}
            decoder = Stored(shared.fingerprint, shared.decoder, delta).restored(editor.generator)
            values = torch.from_numpy(shared.latents).to(editor.generator.mean())
            remarks = [] if shared.fingerprint == editor.generator.fingerprint else [OTHER_MODEL]
        until = time.strftime("%d %B %Y", time.gmtime(shared.expires))
        text = f"A shared picture (until {until}). Its sliders are yours to move."
        work = replace(Work.of(editor, Inversion(values, decoder)), edit=shared.edit)
        visit.link = identity
        update = self._opened(visit, shared.domain, work, _panel(shared.panel), remarks, text)
        yield {**update, "delete": gr.Button(visible=identity in (tokens or {}))}

    def _open_seed(self, visit: Visit, link: SeedLink) -> Iterator[Update]:
        yield from self._ready(link.domain)
        work = replace(self.models.generate(link.domain, link.seed), edit=link.edit)
        text = f"A shared picture, number {link.seed}. Its sliders are yours to move."
        yield {**self._opened(visit, link.domain, work, link.panel, [], text), "seed": link.seed}

    def _ready(self, domain: str) -> Generator[Update, None, Editor]:
        """The editor of a link's domain, after its weights have come."""
        if domain not in self.models.domains:
            raise LinkError(f"This link needs the model “{domain}”, which this server does not have.")
        editor = self.models.editor(domain)
        yield from fetched(editor, editor.generator)
        return editor

    def _opened(
        self, visit: Visit, domain: str, work: Work, panel: Panel, remarks: list[str], text: str
    ) -> Update:
        panel, edit, lost = self._usable(domain, panel, work.edit)
        visit.show(domain, replace(work, edit=edit), panel)
        update = views.everything(self.models, visit, text)
        if remarks := remarks + lost:
            update["status"] = status(" ".join(remarks), "problem")
        return {**update, "tabs": gr.Tabs(selected="edit")}

    def _usable(self, domain: str, asked: Panel, edit: Edit) -> tuple[Panel, Edit, list[str]]:
        """What of a link this server can still show, within the sliders' ranges; and what it cannot."""
        remarks: list[str] = []
        try:
            panel = self.models.panel(domain, asked)
            self.models.shown(domain, panel)
        except ConfigError:
            panel = self.models.panel(domain)
            remarks.append("The chosen layers do not exist here; all sliders of the first source are shown.")
        kept: Edit = {}
        lost: list[str] = []
        for name, value in edit.items():
            try:
                with self.models.lock:
                    direction = self.models.editor(domain).direction(name)
            except ConfigError:
                lost.append(name)
            else:
                kept[name] = min(max(value, direction.low), direction.high)
        if lost:
            remarks.append(f"Sliders that no longer exist were left out: {', '.join(lost)[:200]}.")
        return panel, kept, remarks

    def _record(self, visit: Visit, work: Work) -> Shared:
        inversion = work.inversion(self.models.editor(visit.domain))
        panel = {**asdict(visit.panel), "keep": ", ".join(visit.panel.keep)}
        latents, stored = inversion.latents.cpu().float().numpy(), Stored.of(inversion.generator)
        origin, edit = (visit.domain, stored.fingerprint), dict(work.edit)
        return Shared(*origin, latents, edit, panel, stored.decoder, stored.arrays())


def _download(visit: Visit, work: Work, ending: str, kind: str, buffer: io.BytesIO) -> Update:
    """A file inside the message, so that no face is left in a folder of the server."""
    stem = re.sub(r"\W+", "-", f"{visit.domain}-{'photo' if work.seed is None else work.seed}-edited")
    name = f"{stem}.{ending}"
    data = base64.b64encode(buffer.getvalue()).decode()
    file = {"name": name, "type": kind, "data": data, "made": time.time()}
    return {"download": file, "status": status(f"{name} is downloaded.", "done")}


def _present(visit: Visit) -> Work:
    if visit.work is None:
        raise ConfigError("There is no picture yet: upload a photograph, or choose a sample.")
    return visit.work


def _panel(stored: Mapping[str, Any]) -> Panel:
    count = stored.get("count")
    return Panel(
        str(stored.get("source", "")),
        str(stored.get("layers", "all")),
        count if isinstance(count, int) else 10,
        tuple(name for name in str(stored.get("keep", "")).split(", ") if name),
    )
