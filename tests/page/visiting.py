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
from ui.sliders import Sliders

CONFIGS = Path(__file__).parents[1] / "configs"
PANEL = ("SeFa", "all", 6)


@dataclass
class Steps(Inverter):
    """Walks from the mean to a sample."""

    steps: int = 4

    def invert(self, images: Images, generator: Generator) -> Iterator[Inversion]:
        goal = generator.sample([5])
        for step in range(self.steps + 1):
            latents = generator.mean() + (goal - generator.mean()) * step / self.steps
            yield Inversion(latents, generator, step, self.steps)


@dataclass
class Heads(Aligner):
    """Finds as many heads as it is told."""

    heads: int = 2

    def detect(self, photo: Image.Image) -> list[Subject]:
        return [Subject((10 * place, 0, 10 * place + 20, 20)) for place in range(self.heads)]

    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        return photo.resize((size, size), box=subject.box)


def pixels(value):
    """What a figure shows."""
    data = base64.b64decode(value["src"].removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)), dtype=float)


def started(handlers, seed=3):
    return handlers.sample("toy", seed, *PANEL)


def arrived(updates):
    """What the page shows in the end."""
    shown = {}
    for update in updates:
        shown |= update
    return shown


def bars(update):
    """The rows that the sliders show."""
    return update["sliders"]["value"]["bars"]


def moved(handlers, work, *values, preview=False):
    """As the page tells of its first sliders being at these values."""
    listed = handlers.shown(handlers.editor(work.domain), work.panel) if work else []
    names = [each.identity for each in listed]
    told = dict.fromkeys(names, 0.0) | dict(zip(names, values, strict=False))
    return Sliders(handlers).drag(work, {"values": told, "held": preview})


def inverted(page, photo, steps=4):
    framed = page.detect(photo, "toy", "align")
    return list(page.invert(framed["photo"], "steps", steps, *PANEL, session="s"))


HEADERS = {"referer": "https://example.org/page/?__theme=dark#top", "host": "inner:7860"}


def query(update):
    return "?" + urlsplit(update["link"].value).query
