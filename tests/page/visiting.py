"""A visitor of the page without a server: what tests ask of handlers, and stand-ins."""

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from backends import Images
from backends.aligners import Aligner, Subject
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.squares import Square
from sharing import ShareStore
from ui.domain import Domain
from ui.models import Models
from ui.photograph import Photograph
from ui.saving import Saving
from ui.sliders import Sliders
from ui.state import Panel

CONFIGS = Path(__file__).parents[1] / "configs"
PANEL = Panel("SeFa", "all", 6)


class Desk:
    """All handlers of a page."""

    def __init__(self, store: ShareStore, configs: Path = CONFIGS) -> None:
        self.models = Models(configs)
        self.domain, self.photograph = Domain(self.models), Photograph(self.models)
        self.sliders, self.saving = Sliders(self.models), Saving(self.models, store)


@dataclass
class Steps(Inverter):
    """Walks from the mean to a sample."""

    steps: int = 4

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        goal, steps = generator.sample([5]), steps or self.steps
        for step in range(steps + 1):
            latents = generator.mean() + (goal - generator.mean()) * step / steps
            yield Inversion(latents, generator, step, steps)


@dataclass
class Heads(Aligner):
    """Finds as many heads as it is told."""

    heads: int = 2

    def detect(self, photo: Image.Image) -> list[Subject]:
        return [Subject((10 * place, 0, 10 * place + 20, 20)) for place in range(self.heads)]

    def frame(self, photo: Image.Image, subject: Subject) -> Square:
        return Square.of_box(subject.box)


def pixels(value):
    """What a figure shows."""
    data = base64.b64decode(value["src"].removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)), dtype=float)


def png(photo):
    """The file of a photograph."""
    buffer = io.BytesIO()
    photo.save(buffer, "PNG")
    return buffer.getvalue()


def started(page, visit, seed=3):
    return page.domain.sample(visit, seed)


def arrived(updates):
    """What the page shows in the end."""
    shown = {}
    for update in updates:
        shown |= update
    return shown


def bars(update):
    """The rows that the sliders show."""
    return update["sliders"]["value"]["bars"]


def moved(page, visit, *values, preview=False):
    """As the page tells of its first sliders being at these values."""
    listed = page.models.shown(visit.domain, visit.panel) if visit.work else []
    names = [each.identity for each in listed]
    told = dict.fromkeys(names, 0.0) | dict(zip(names, values, strict=False))
    return page.sliders.drag(visit, {"values": told, "held": preview})


def uploaded(page, visit, photo, framing="align"):
    return page.photograph.detect(visit, png(photo), photo, framing)


def inverted(page, visit, photo, steps=4):
    uploaded(page, visit, photo)
    return list(page.photograph.invert(visit, "steps", steps))


HEADERS = {"referer": "https://example.org/page/?__theme=dark#top", "host": "inner:7860"}


def query(update):
    return "?" + urlsplit(update["link"].value).query
