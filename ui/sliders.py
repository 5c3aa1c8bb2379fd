"""Handlers: the sliders, what they move, and what shows what they do. Rules as in `domain`."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from PIL import Image

from config import ConfigError
from ui import semantics, thumbnails, views
from ui.links import finite
from ui.models import Models
from ui.pictures import status
from ui.semantics import POOL, Shown
from ui.state import Panel, Visit
from ui.thumbnails import Sheet
from ui.widgets import WHOLE, Update

QUIET_SECONDS = 1.5  # without a moved slider, after which thumbnails may be drawn
MESSAGE_SECONDS = 3.0  # between two messages with a longer sheet of thumbnails


@dataclass
class Sliders:
    """Editing along the directions of a domain."""

    models: Models

    def drag(self, visit: Visit, said: Any) -> Update:
        """The picture for what a browser `said` of its sliders; smaller and sooner while one is held.

        A page sends one at a time. Another one meanwhile is not from a page, and not answered: threads that
        wait for their turn would be missing elsewhere.
        """
        if not visit.dragging.acquire(blocking=False):
            return {}
        try:
            with self.models.lock:
                return self._dragged(visit, said)
        finally:
            visit.dragging.release()

    def _dragged(self, visit: Visit, said: Any) -> Update:
        if visit.work is None:
            raise ConfigError(
                "There is nothing to edit yet: upload a photograph, or choose a sample picture."
            )
        self.models.moved = time.monotonic()
        values, held = _read(said)
        values, wrong = _within(self.models.shown(visit.domain, visit.panel), values)
        edit = {**visit.work.edit, **values}
        visit.work = replace(visit.work, edit={name: value for name, value in edit.items() if value})
        update: Update = {"edited": views.edited(self.models, visit, preview=held)}
        return {**update, "status": status(wrong, "problem")} if wrong else update

    def show(self, visit: Visit, which: str) -> Update:
        """The whole photograph, or only the crop that is edited."""
        visit.whole = which == WHOLE
        with self.models.lock:
            return views.figures(self.models, visit)

    def arrange(self, visit: Visit, source: str, layers: str, count: float) -> Update:
        """Other directions on the sliders. The picture stays: sliders that are not shown still apply."""
        panel = self.models.panel(visit.domain, Panel(source, layers, int(count or 0), visit.panel.keep))
        names = {each.identity for each in self.models.shown(visit.domain, panel)}
        visit.panel = panel
        hidden = [name for name in (visit.work.edit if visit.work else {}) if name not in names]
        still = f"Still applied from other settings: {', '.join(hidden)}."
        return {
            **views.sliders(self.models, visit),
            "keep": views.kept(self.models.editor(visit.domain), panel),
            "status": status(still if hidden else "Drag a slider to edit."),
        }

    def keep(self, visit: Visit, names: Sequence[str]) -> Update:
        """Other attributes are to stay: the same sliders at the same values, along other paths."""
        before = visit.panel
        after = self.models.panel(visit.domain, replace(before, keep=tuple(names)))
        self.models.shown(visit.domain, after)  # what cannot be kept is an error before anything changes
        text = "Nothing is kept."
        if after.keep:
            text = f"Sliders leave these as they are: {', '.join(after.keep)}."
        visit.panel = after
        if visit.work is None:
            return {**views.sliders(self.models, visit), "status": status(text)}
        return self._changed(visit, semantics.carried(visit.work.edit, before, after), text)

    def reset(self, visit: Visit) -> Update:
        """All sliders back to zero, also those that are not shown."""
        if visit.work is None:
            return {"status": status("There is nothing to reset.")}
        return self._changed(visit, {}, "All sliders are at zero.")

    def _changed(self, visit: Visit, edit: dict[str, float], text: str) -> Update:
        assert visit.work
        with self.models.lock:
            visit.work = replace(visit.work, edit=edit)
            edited = views.edited(self.models, visit)
        return {**views.sliders(self.models, visit), "edited": edited, "status": status(text)}

    def illustrate(self, visit: Visit, said: Any = None) -> Iterator[Update]:
        """Draws thumbnails that nobody has drawn before, while no slider moves; others come at once."""
        if visit.work is None:
            return
        domain, panel = visit.domain, visit.panel
        editor = self.models.editor(domain)
        wanted = max(each.row for each in self.models.shown(domain, panel)) + 1
        sheet = thumbnails.sheet(editor, panel)
        if sheet.rows >= wanted:
            if not isinstance(said, dict) or said.get("drawn") != sheet.rows:  # or the sliders came with it
                yield views.illustrated(sheet)
            return
        told, image = time.monotonic(), None
        for image in self._quietly(visit, domain, panel):
            if time.monotonic() - told > MESSAGE_SECONDS:
                told = time.monotonic()
                yield views.illustrated(Sheet.of(image))
        if image is not None and thumbnails.rows(image) >= wanted:
            thumbnails.keep(editor, panel, image)
            if visit.shows(domain, panel):
                yield views.illustrated(Sheet.of(image))

    def _quietly(self, visit: Visit, domain: str, panel: Panel) -> Iterator[Image.Image]:
        """The sheet row by row, each when nobody moves a slider; ends early when the visitor has gone on."""
        with closing(self.models.turns(thumbnails.drawn(self.models.editor(domain), panel))) as rows:
            while visit.shows(domain, panel):
                if time.monotonic() - self.models.moved < QUIET_SECONDS:
                    time.sleep(0.2)
                elif (image := next(rows, None)) is not None:
                    yield image
                else:
                    return


def _read(said: object) -> tuple[dict[str, float], bool]:
    """What `moves` in assets/sliders.js makes: the value of every slider by the id of its direction, and
    whether the visitor still moves one. Raises ConfigError for anything else.
    """
    moves = said if isinstance(said, dict) else {}
    values = moves.get("values")
    if not isinstance(values, dict) or len(values) > POOL:
        raise ConfigError("The sliders did not say what they are set to. Please reload the page.")
    numbers = {str(name): finite(value) for name, value in values.items()}
    if None in numbers.values():
        raise ConfigError("The value of a slider must be a number.")
    return {name: number for name, number in numbers.items() if number is not None}, moves.get("held") is True


def _within(listed: Sequence[Shown], values: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """The values of directions that are shown, each in its range; and what is wrong with the others.

    Directions that are not shown are left out: a browser may speak of those that it showed a moment ago.
    """
    kept, wrong = {}, []
    for each in listed:
        if each.identity in values:
            (low, high), value = each.ends, values[each.identity]
            kept[each.identity] = min(max(value, low), high)
            if value != kept[each.identity]:
                wrong.append(f"{each.label} goes from {low:g} to {high:g}, not to {value:g}.")
    return kept, " ".join(wrong)
