"""The average picture: the start of every optimisation, and the baseline that an inverter must beat."""

from collections.abc import Iterator
from dataclasses import dataclass

from backends import Images
from backends.generators import Generator
from backends.inverters import Inversion, Inverter


@dataclass
class Mean(Inverter):
    """Ignores the photograph."""

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        yield Inversion(generator.mean().repeat(len(images), 1, 1), generator)
