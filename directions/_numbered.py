"""What sources share whose directions have no names, only numbers: "SeFa 1", the strongest first."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from config import ConfigError
from directions import Direction, DirectionSource, on_layers, parse_layers
from directions._statistics import spread


@dataclass(frozen=True)
class Components:
    """Unit vectors, the strongest first, and what the page says beside each."""

    vectors: Float[Tensor, "k dim"]
    notes: list[str]


@dataclass
class Numbered(DirectionSource):
    """Numbers count what `components` returns, whatever `count` says, so that a link finds its direction."""

    limit: float = 3.0  # slider ends, standard deviations of the latents
    label: ClassVar[str]

    @abstractmethod
    def components(self, generator: Generator) -> Components:
        """All that there are; quick when asked again."""

    def layers_of(self, number: int, generator: Generator) -> list[int]:
        """The layers that component `number` (from 1) edits."""
        return parse_layers(self.layers, generator.layers, generator.size)

    def directions(self, generator: Generator) -> list[Direction]:
        known = len(self.components(generator).vectors)
        return [self._direction(generator, number) for number in range(1, min(self.count, known) + 1)]

    def find(self, generator: Generator, name: str) -> Direction:
        """Any of the components, also those beyond `count`. Raises ConfigError."""
        word, _, number = name.rpartition(" ")
        known = len(self.components(generator).vectors)
        if word.lower() != self.label.lower() or not number.isdecimal() or not 1 <= int(number) <= known:
            raise ConfigError(
                f"no direction is called {name!r}; there are: {self.label} 1 ... {self.label} {known}"
            )
        return self._direction(generator, int(number))

    def _direction(self, generator: Generator, number: int) -> Direction:
        components = self.components(generator)
        chosen = self.layers_of(number, generator)
        rows = on_layers(components.vectors[number - 1], chosen, generator.layers)
        length = spread(generator, rows)
        note = f"{components.notes[number - 1]}, 1 = {length:.2f} in latent units"
        return Direction.linear(f"{self.label} {number}", length * rows, -self.limit, self.limit, note)
