"""From widget values to widget values: what the page does, callable without a server.

Every method returns (or, where a person waits, yields) a dict from a widget's name in `panels` to its new
value or properties; widgets that it leaves out stay as they are. Errors are raised; `wiring` puts their text
on the page.
"""

import secrets
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from directions import Direction
from editor import CONFIGS, Editor, domains
from plugins import ConfigError
from ui import widgets
from ui.fetching import fetched
from ui.links import Panel
from ui.pictures import Picture, nothing, picture, status
from ui.session import Work

Update = dict[str, Any]
ALIGN, CENTER = "align", "center"
LOOK = 0.7  # seconds between two intermediate pictures of an inversion: each costs what a preview costs


class Handlers:
    """Shared by all visitors: the editors and the lock. What belongs to one visitor is in the arguments."""

    def __init__(self, configs: Path = CONFIGS) -> None:
        self.configs = configs
        self.domains = domains(configs)
        if not self.domains:
            raise ConfigError(f"there is no .yaml file in {configs}; a domain is one such file")
        self.lock = threading.RLock()  # one computation at a time, whatever the queue lets through
        self.stops: dict[str, threading.Event] = {}  # session -> asks its inversion to end
        self._editors = lru_cache(maxsize=2)(lambda name: Editor.load(name, configs))
        self._thumbnails: dict[str, list[tuple[Image.Image, str]]] = {}

    def editor(self, name: str) -> Editor:
        """The editor of a domain; the two last used stay in memory. Raises ConfigError."""
        with self.lock:
            return self._editors(name)

    # Domain: everything that follows from which generator is used

    def choose(self, name: str) -> Iterator[Update]:
        """Another domain: its settings, and its first sample picture so that there is something to edit."""
        editor = self.editor(name)
        yield from fetched(editor)
        yield {"status": status(f"Loading {editor.domain.title}…", "busy")}
        yield {
            **self.settings(editor),
            **self.show(self.sampled(editor, editor.domain.seeds[0]), f"{editor.domain.title}: ready."),
            "seed": editor.domain.seeds[0],
        }

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

    def sample(self, domain: str, seed: float | None, source: str, layers: str, count: float) -> Update:
        """A generated picture, without any upload."""
        if seed is None or seed < 0 or seed >= 2**32 or seed != int(seed):
            raise ConfigError("A seed is a whole number from 0 to 4294967295.")
        editor = self.editor(domain)
        work = self.sampled(editor, int(seed), self.own_panel(editor, source, layers, count))
        return {
            **self.show(work, f"Picture number {int(seed)}. Drag a slider to edit it."),
            "seed": int(seed),
        }

    def pick(self, domain: str, source: str, layers: str, count: float, index: int = 0) -> Update:
        """The sample picture whose thumbnail was clicked."""
        seeds = self.editor(domain).domain.seeds
        return self.sample(domain, seeds[min(index, len(seeds) - 1)], source, layers, count)

    def random(self, domain: str, source: str, layers: str, count: float) -> Update:
        """Any picture that the generator can draw."""
        return self.sample(domain, secrets.randbelow(2**32), source, layers, count)

    # Sliders

    def drag(self, work: Work | None, preview: bool, *values: float) -> Update:
        """The picture for these slider values; smaller and sooner with `preview`."""
        if work is None:
            raise ConfigError(
                "There is nothing to edit yet: upload a photograph, or choose a sample picture."
            )
        editor = self.editor(work.domain)
        names = self._names(editor, work.panel)
        edit = {**work.edit, **dict(zip(names, values, strict=False))}
        work = replace(work, edit={name: value for name, value in edit.items() if value}, shared="")
        return {"work": work, "edited": self._edited(editor, work, preview)}

    def arrange(self, work: Work | None, domain: str, source: str, layers: str, count: float) -> Update:
        """Other directions on the sliders. The picture stays: sliders that are not shown still apply."""
        editor = self.editor(domain)
        panel = self.own_panel(editor, source, layers, count)
        edit = work.edit if work else {}
        update = widgets.sliders(self.directions(editor, panel), edit)
        hidden = [name for name in edit if name not in self._names(editor, panel)]
        text = (
            f"Still applied from other settings: {', '.join(hidden)}." if hidden else "Drag a slider to edit."
        )
        return {**update, "work": work and replace(work, panel=panel), "status": status(text)}

    def reset(self, work: Work | None) -> Update:
        """All sliders back to zero, also those that are not shown."""
        if work is None:
            return {"status": status("There is nothing to reset.")}
        work = replace(work, edit={}, shared="")
        editor = self.editor(work.domain)
        update = widgets.sliders(self.directions(editor, work.panel), {})
        said = status("All sliders are at zero.")
        return {**update, "work": work, "edited": self._edited(editor, work), "status": said}

    # Parts of the above

    def show(self, work: Work, message: str, original: Picture | None = None) -> Update:
        """All three pictures and the sliders of `work`."""
        editor = self.editor(work.domain)
        unedited = replace(work, edit={})
        inversion = self._edited(editor, unedited)
        generated = (
            nothing("No photograph: generated") if work.seed is not None else nothing("Photograph not shared")
        )
        return {
            "work": work,
            "original": original or generated,
            "inversion": inversion,
            "edited": self._edited(editor, work) if work.edit else inversion,
            **widgets.sliders(self.directions(editor, work.panel), work.edit),
            "status": status(message, "done"),
        }

    def _edited(self, editor: Editor, work: Work, preview: bool = False) -> Picture:
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
        self, editor: Editor, source: str | None = None, layers: str | None = None, count: float | None = None
    ) -> Panel:
        """Complete and valid settings of the sliders: what is missing or unknown becomes the domain's own."""
        label = source if source in editor.sources else next(iter(editor.sources))
        own = editor.sources[label]
        return Panel(
            label, (layers or own.layers).strip(), min(max(int(count or own.count), 1), widgets.POOL)
        )

    def directions(self, editor: Editor, panel: Panel) -> dict[str, Direction]:
        """What the sliders move, by id. Raises ConfigError for layers that do not exist."""
        with self.lock:
            return editor.directions(panel.source, panel.layers, panel.count)

    def _names(self, editor: Editor, panel: Panel) -> list[str]:
        return list(self.directions(editor, panel))

    def settings(self, editor: Editor, panel: Panel | None = None) -> Update:
        """What a domain decides, and an empty place for a photograph."""
        nobody = {"photo": None, "upload": None, "faces": gr.Gallery(None, visible=False)}
        chosen = widgets.settings(editor, panel or self.own_panel(editor))
        return {**chosen, **nobody, "invert": gr.Button(interactive=False)}
