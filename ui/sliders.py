"""The sliders: what they move, in which order, and what shows what they do. Same rules as `handlers`."""

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from config import ConfigError
from editor import Editor
from ui import semantics, thumbnails, widgets
from ui.handlers import Handlers, Update
from ui.links import Panel
from ui.moves import drawn, read, within
from ui.pictures import status
from ui.session import Work
from ui.thumbnails import Sheet

CALM = 1.5  # seconds without a moved slider after which thumbnails may be drawn
TOLD = 3.0  # seconds between two messages with a longer sheet of thumbnails


class Sliders:
    """Handlers around the directions of a domain."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.moved = 0.0  # when a slider was moved last, by anyone

    def drag(self, work: Work | None, said: Any) -> Update:
        """The picture for what a browser `said` of its sliders; smaller and sooner while one is held."""
        if work is None:
            raise ConfigError(
                "There is nothing to edit yet: upload a photograph, or choose a sample picture."
            )
        self.moved = time.monotonic()
        editor = self.handlers.editor(work.domain)
        moves = read(said)
        values, wrong = within(self.handlers.shown(editor, work.panel), moves.values)
        edit = {**work.edit, **values}
        work = replace(work, edit={name: value for name, value in edit.items() if value}, shared="")
        update = {"work": work, "edited": self.handlers.edited(editor, work, preview=moves.held)}
        return {**update, "status": status(wrong, "problem")} if wrong else update

    def arrange(self, work: Work | None, domain: str, *panel: Any) -> Update:
        """Other directions on the sliders. The picture stays: sliders that are not shown still apply."""
        editor = self.handlers.editor(domain)
        chosen = self.handlers.own_panel(editor, *panel)
        edit = work.edit if work else {}
        listed = self.handlers.shown(editor, chosen)
        names = {each.identity for each in listed}
        hidden = [name for name in edit if name not in names]
        text = (
            f"Still applied from other settings: {', '.join(hidden)}." if hidden else "Drag a slider to edit."
        )
        return {
            **self.handlers.sliders(editor, chosen, edit),
            "keep": widgets.kept(editor, chosen),
            "work": work and replace(work, panel=chosen),
            "status": status(text),
        }

    def keep(self, work: Work | None, domain: str, *panel: Any) -> Update:
        """Other attributes are to stay: the same sliders at the same values, along other paths."""
        editor = self.handlers.editor(domain)
        chosen = self.handlers.own_panel(editor, *panel)
        text = (
            f"Sliders leave these as they are: {', '.join(chosen.keep)}."
            if chosen.keep
            else "Nothing is kept."
        )
        if work is None:
            return {**self.handlers.sliders(editor, chosen, {}), "status": status(text)}
        edit = semantics.carried(work.edit, work.panel, chosen)
        work = replace(work, edit=edit, panel=chosen, shared="")
        return {
            **self.handlers.sliders(editor, chosen, edit),
            "work": work,
            "edited": self.handlers.edited(editor, work),
            "status": status(text),
        }

    def reset(self, work: Work | None) -> Update:
        """All sliders back to zero, also those that are not shown."""
        if work is None:
            return {"status": status("There is nothing to reset.")}
        work = replace(work, edit={}, shared="")
        editor = self.handlers.editor(work.domain)
        update = self.handlers.sliders(editor, work.panel, {})
        said = status("All sliders are at zero.")
        return {**update, "work": work, "edited": self.handlers.edited(editor, work), "status": said}

    def illustrate(self, work: Work | None, said: Any = None, session: str = "") -> Iterator[Update]:
        """Draws thumbnails that nobody has drawn before, while no slider moves; others come at once."""
        if work is None:
            return
        panel, editor = work.panel, self.handlers.editor(work.domain)
        self.handlers.panels[session] = panel
        listed = self.handlers.shown(editor, panel)
        wanted, sheet = max(each.row for each in listed) + 1, thumbnails.sheet(editor, panel)
        if sheet.rows >= wanted:
            if drawn(said) < wanted:  # otherwise the sliders came with it
                yield _illustrated(sheet)
            return
        told, image = time.monotonic(), None
        for image in self._drawn(editor, panel, session):
            if time.monotonic() - told > TOLD:
                told = time.monotonic()
                yield _illustrated(Sheet.of(image))
        if self.handlers.panels.get(session) == panel and image is not None:
            thumbnails.keep(editor, panel, image)
            yield _illustrated(Sheet.of(image))

    def _drawn(self, editor: Editor, panel: Panel, session: str) -> Iterator[Any]:
        """Row by row, each when nobody moves a slider; ends early when the visitor shows something else."""
        drawing = thumbnails.drawn(editor, panel)
        while True:
            while time.monotonic() - self.moved < CALM and self.handlers.panels.get(session) == panel:
                time.sleep(0.2)
            if self.handlers.panels.get(session) != panel:
                return
            with self.handlers.lock:
                image = next(drawing, None)
            if image is None:
                return
            yield image
            time.sleep(0.01)  # others may want the lock


def _illustrated(sheet: Sheet) -> Update:
    """Only the thumbnails: what the visitor has moved meanwhile stays as it is."""
    return {"sliders": gr.update(sheet=asdict(sheet))}
