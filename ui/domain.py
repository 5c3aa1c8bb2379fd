"""Handlers: which domain, and pictures that its generator draws without any photograph.

Every handler of this package takes the visit and values of widgets, changes the visit, and returns (or, where
a person waits, yields) what changes on the page. Errors are raised; `events` puts their text on the page.
"""

import secrets
from collections.abc import Iterator
from dataclasses import dataclass

import gradio as gr

from config import ConfigError
from ui import views
from ui.fetching import fetched
from ui.links import SEEDS, finite
from ui.models import Models
from ui.pictures import status
from ui.state import Visit
from ui.widgets import Update


@dataclass
class Domain:
    """Choosing a domain, and one of its pictures."""

    models: Models

    def choose(self, visit: Visit, choice: str) -> Iterator[Update]:
        """Another domain: its settings, and its first sample picture so that there is something to edit.

        While its weights are on their way, and if they cannot be had, the page stays with its domain. The one
        that it has already stays with all that was done.
        """
        visit.choice, chosen_before = choice, visit.choice
        if choice == visit.domain:
            if choice != chosen_before:
                yield {"status": status(f"{self.models.domains[choice].title}: still here.", "done")}
            return
        try:
            editor = self.models.editor(choice)
            for update in fetched(editor, editor.generator):
                if visit.choice != choice:  # chosen something else meanwhile; this one goes on
                    return
                yield update
            yield {"status": status(f"Loading {editor.domain.title}…", "busy")}
            first = self.models.generate(choice, editor.domain.seeds[0])
        except Exception:
            if visit.domain and visit.choice == choice:
                visit.choice = visit.domain
                yield {"domain": gr.Dropdown(choices=self.models.offered(), value=visit.domain)}
            raise
        if visit.choice == choice:
            visit.show(choice, first, self.models.panel(choice))
            shown = views.everything(self.models, visit, f"{editor.domain.title}: ready.")
            yield {**shown, "seed": editor.domain.seeds[0]}

    def samples(self, visit: Visit) -> Update:
        """Thumbnails of the domain's sample pictures."""
        pictures = self.models.samples(visit.domain)
        return {"samples": gr.Gallery(pictures, visible=bool(pictures))}

    def sample(self, visit: Visit, seed: object) -> Update:
        """A generated picture, without any upload."""
        number = finite(seed)
        if number is None or number != int(number) or not 0 <= number < SEEDS:
            raise ConfigError(f"A seed is a whole number from 0 to {SEEDS - 1}.")
        visit.work = self.models.generate(visit.domain, int(number))
        text = f"Picture number {int(number)}. Drag a slider to edit it."
        return {**views.work(self.models, visit, text), "seed": int(number)}

    def pick(self, visit: Visit, index: object) -> Update:
        """The sample picture whose thumbnail was clicked."""
        seeds = self.models.editor(visit.domain).domain.seeds
        return self.sample(visit, seeds[chosen(index, len(seeds))])

    def random(self, visit: Visit) -> Update:
        """Any picture that the generator can draw."""
        return self.sample(visit, secrets.randbelow(SEEDS))


def chosen(index: object, count: int) -> int:
    """Which of `count` thumbnails a browser says was clicked. Raises ConfigError."""
    if not isinstance(index, int) or not 0 <= index < count:
        raise ConfigError("Choose one of the pictures that are shown.")
    return index
