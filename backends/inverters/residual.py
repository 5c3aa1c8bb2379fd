"""Inversion that keeps the photograph: latents for what edits mean, a residual that follows for the rest.

The latents are another inverter's; the better they are, the better edits follow. The photograph itself is
there from the first picture on.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from backends import Images, Latents
from backends.decoders.residual import Residual as Decoder
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from plugins import build

MATCHED = 64  # most places, to a side, of the maps in which motion is looked for
PIXELS = 4  # least side of a place: maps of the last layers hold colours rather than parts of things


@dataclass
class Residual(Inverter):
    """Gives every inversion of `start` a `Residual` decoder. One photograph at a time."""

    start: Any = field(default_factory=lambda: {"name": "optimize"})  # the inverter that finds the latents
    match: int | None = None  # layer whose maps say what moved; None = see `_matching`

    def __post_init__(self) -> None:
        self._first = build(Inverter, self.start, "start")
        self.steps = self._first.steps

    def required(self) -> list[str]:
        return self._first.required()

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        """Raises ValueError for more than one photograph, and for a start that changes the generator."""
        if len(images) != 1:
            raise ValueError(f"a residual belongs to one photograph, here are {len(images)}")
        match = self.match
        for inversion in self._first.invert(images, generator, steps):
            if inversion.generator is not generator:
                raise ValueError("a residual cannot start from an inverter with a decoder of its own")
            match = _matching(generator, inversion.latents) if match is None else match
            decoder = Decoder.of(generator, inversion.latents, images, match)
            yield replace(inversion, latents=decoder.own, generator=decoder)


def _matching(generator: Generator, latents: Latents) -> int:
    """The last layer whose maps have at most MATCHED places to a side, and PIXELS pixels to a place."""
    most = min(MATCHED, generator.size // PIXELS)
    for layer in range(1, generator.layers):
        if generator.activations(latents, layer).shape[-1] > most:
            return layer - 1
    return generator.layers - 1
