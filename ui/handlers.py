"""From widget values to widget values: what the page does, callable without a server.

Every method returns (or, where a person waits, yields) a dict from a widget's name in `panels` to its new
value or properties; widgets that it leaves out stay as they are. Errors are raised; `wiring` puts their text
on the page.
"""

import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from config import ConfigError
from editor import CONFIGS, Editor, domains
from ui import semantics, thumbnails, widgets
from ui.fetching import fetched, offer
from ui.links import Panel
from ui.pictures import Picture, nothing, picture, status
from ui.recent import Recent
from ui.semantics import POOL, Shown
from ui.session import Work

Update = dict[str, Any]


class Handlers:
    """Shared by all visitors: the editors and the lock. What belongs to one visitor is in the arguments."""

    def __init__(self, configs: Path = CONFIGS) -> None:
        self.configs = configs
        self.domains = domains(configs)
        if not self.domains:
            raise ConfigError(f"there is no .yaml file in {configs}; a domain is one such file")
        self.lock = threading.RLock()  # one computation at a time, whatever the queue lets through
        self.choices: Recent[str] = Recent()  # session -> the domain that was chosen last
        self.panels: Recent[Panel] = Recent()  # session -> what its sliders show
        self._editors = lru_cache(maxsize=2)(lambda name: Editor.load(name, configs))
        # sliders ask at every move
        self._shown = lru_cache(maxsize=64)(lambda name, panel: semantics.shown(self.editor(name), panel))
        self._described = lru_cache(maxsize=None)(
            lambda name: Editor.load(name, configs)
        )  # never loads weights
        self._thumbnails: dict[str, list[tuple[Image.Image, str]]] = {}

    def editor(self, name: str) -> Editor:
        """The editor of a domain; the two last used stay in memory. Raises ConfigError."""
        with self.lock:
            return self._editors(name)

    # Domain: everything that follows from which generator is used

    def choose(self, choice: str, domain: str = "", session: str = "") -> Iterator[Update]:
        """Another domain: its settings, and its first sample picture so that there is something to edit.

        While its weights are on their way, and if they cannot be had, the page stays with this `domain`.
        """
        self.choices[session] = choice
        try:
            editor = self.editor(choice)
            for update in fetched(editor, editor.generator):
                if self.choices.get(session) != choice:  # chosen something else meanwhile; this one goes on
                    return
                yield update
            yield {"status": status(f"Loading {editor.domain.title}…", "busy")}
            ready = {
                **self.settings(editor),
                **self.show(self.sampled(editor, editor.domain.seeds[0]), f"{editor.domain.title}: ready."),
                "seed": editor.domain.seeds[0],
            }
        except Exception:
            if domain and self.choices.get(session) == choice:
                yield {"choice": gr.Dropdown(choices=self.offered(), value=domain)}
            raise
        if self.choices.get(session) == choice:
            yield ready

    def offered(self) -> list[tuple[str, str]]:
        """The list of domains: title, what choosing it downloads, and its name."""
        listed = []
        for name, domain in self.domains.items():
            editor = self._described(name)
            first = offer(editor, editor.generator)
            listed.append((f"{domain.title} · {first}" if first else domain.title, name))
        return listed

    def samples(self, name: str) -> Update:
        """Thumbnails of the domain's sample pictures, made once."""
        editor = self.editor(name)
        with self.lock:
            if name not in self._thumbnails:
                self._thumbnails[name] = [
                    (editor.render(editor.sample(seed), preview=True).resize((160, 160)), f"Seed {seed}")
                    for seed in editor.domain.seeds
                ]
        return {"samples": gr.Gallery(self._thumbnails[name], visible=bool(self._thumbnails[name]))}

    def sample(self, domain: str, seed: float | None, *panel: Any) -> Update:
        """A generated picture, without any upload."""
        if seed is None or seed < 0 or seed >= 2**32 or seed != int(seed):
            raise ConfigError("A seed is a whole number from 0 to 4294967295.")
        editor = self.editor(domain)
        work = self.sampled(editor, int(seed), self.own_panel(editor, *panel))
        return {
            **self.show(work, f"Picture number {int(seed)}. Drag a slider to edit it."),
            "seed": int(seed),
        }

    def pick(self, domain: str, *panel: Any, index: int = 0) -> Update:
        """The sample picture whose thumbnail was clicked."""
        seeds = self.editor(domain).domain.seeds
        return self.sample(domain, seeds[min(index, len(seeds) - 1)], *panel)

    def random(self, domain: str, *panel: Any) -> Update:
        """Any picture that the generator can draw."""
        return self.sample(domain, secrets.randbelow(2**32), *panel)

    # Parts of the above

    def show(self, work: Work, message: str, original: Picture | None = None) -> Update:
        """All three pictures and the sliders of `work`."""
        editor = self.editor(work.domain)
        unedited = replace(work, edit={})
        inversion = self.edited(editor, unedited)
        generated = (
            nothing("No photograph: generated") if work.seed is not None else nothing("Photograph not shared")
        )
        return {
            "work": work,
            "original": original or generated,
            "inversion": inversion,
            "edited": self.edited(editor, work) if work.edit else inversion,
            **self.sliders(editor, work.panel, work.edit),
            "status": status(message, "done"),
        }

    def edited(self, editor: Editor, work: Work, preview: bool = False) -> Picture:
        with self.lock:
            image = editor.render(work.inversion(editor), work.edit, preview)
        moved = ", ".join(f"{name} {value:+.1f}" for name, value in work.edit.items())
        alt = f"Edited picture: {moved}" if moved else "The picture before any edit"
        return picture(image, alt, passing=preview)

    def sampled(self, editor: Editor, seed: int, panel: Panel | None = None) -> Work:
        with self.lock:
            inversion = editor.sample(seed)
        return Work.of(editor, inversion, panel or self.own_panel(editor), seed)

    def own_panel(
        self,
        editor: Editor,
        source: str | None = None,
        layers: str | None = None,
        count: float | None = None,
        keep: Sequence[str] | None = None,
    ) -> Panel:
        """Complete and valid settings of the sliders: what is missing or unknown becomes the domain's own."""
        label = source if source in editor.sources else next(iter(editor.sources))
        own = editor.sources[label]
        panel = Panel(label, (layers or own.layers).strip(), min(max(int(count or own.count), 1), POOL))
        known = semantics.keepable(editor, panel) if keep else []
        return replace(panel, keep=tuple(sorted(name for name in known if name in (keep or ()))))

    def shown(self, editor: Editor, panel: Panel) -> list[Shown]:
        """What the sliders move. Raises ConfigError for layers that do not exist."""
        with self.lock:
            return self._shown(editor.name, panel)

    def sliders(self, editor: Editor, panel: Panel, edit: Mapping[str, float]) -> Update:
        """All sliders, with the thumbnails that are there already."""
        bars, sheet = widgets.sliders(self.shown(editor, panel), edit), thumbnails.sheet(editor, panel)
        return {"sliders": gr.update(value=bars, sheet=asdict(sheet))}

    def settings(self, editor: Editor, panel: Panel | None = None) -> Update:
        """What a domain decides, and an empty place for a photograph."""
        nobody = {"photo": None, "upload": None, "faces": gr.Gallery(None, visible=False)}
        chosen = widgets.settings(editor, panel or self.own_panel(editor))
        choice = gr.Dropdown(choices=self.offered(), value=editor.name)
        return {**chosen, "choice": choice, **nobody, "invert": gr.Button(interactive=False)}
