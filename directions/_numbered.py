"""What sources share whose directions have no names, only numbers: "SeFa 1", the strongest first."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents
from backends.generators import Generator
from directions import Direction, DirectionSource, on_layers, parse_layers, unknown
from directions._statistics import note, spread

Bend = Callable[[Float[Tensor, "n dim"]], Float[Tensor, "n dim"]]  # latents -> unit vectors there


@dataclass(frozen=True)
class Components:
    """Unit vectors, the strongest first, and what the page says beside each."""

    vectors: Float[Tensor, "k dim"]
    notes: list[str]
    bends: Sequence[Bend] = ()  # if directions depend on the latent; `vectors` then hold at the mean


@dataclass
class Numbered(DirectionSource):
    """Numbers count what `components` returns, whatever `count` says, so that a link finds its direction."""

    ranges: dict[int, str] = field(default_factory=dict)  # number -> its layers, while `layers` is "all"
    limit: float = 3.0  # slider ends, standard deviations of the latents
    label: ClassVar[str]
    first: ClassVar[int] = 1

    @abstractmethod
    def components(self, generator: Generator) -> Components:
        """All that there are; quick when asked again."""

    def named(self, number: int) -> str:
        """The name of a direction."""
        return f"{self.label} {number}"

    def order(self, numbers: range) -> list[int]:
        """The numbers in the order in which directions are listed."""
        return list(numbers)

    def directions(self, generator: Generator) -> list[Direction]:
        components = self.components(generator)
        listed = self.order(self._numbers(components))[: self.count]
        return [self._direction(generator, components, number) for number in listed]

    def find(self, generator: Generator, name: str) -> Direction:
        """Any of the components, by its name or number, also beyond `count`. Raises ConfigError."""
        components = self.components(generator)
        numbers = self._numbers(components)
        for number in numbers:
            if name.lower() in (self.named(number).lower(), f"{self.label} {number}".lower()):
                return self._direction(generator, components, number)
        raise unknown(name, [f"{self.label} {numbers[0]} ... {self.label} {numbers[-1]}"])

    def _numbers(self, components: Components) -> range:
        return range(self.first, self.first + len(components.vectors))

    def _direction(self, generator: Generator, components: Components, number: int) -> Direction:
        i = number - self.first
        everything = self.layers.strip().lower() in ("all", "")
        layers = self.ranges.get(number, "all") if everything else self.layers
        chosen = parse_layers(layers, generator.layers, generator.size)
        vector = on_layers(components.vectors[i], chosen, generator.layers)
        length = spread(generator, vector)
        text = note(length, components.notes[i])
        if not components.bends:
            return Direction.linear(self.named(number), length * vector, -self.limit, self.limit, text)
        step = partial(_step, components.bends[i], chosen, length)
        return Direction(self.named(number), step, -self.limit, self.limit, f"depends on the latent, {text}")


@torch.no_grad()
def _step(bend: Bend, chosen: list[int], length: float, latents: Latents) -> Latents:
    """What one unit of strength adds: on each chosen layer, along the vector found for its latent."""
    added = torch.zeros_like(latents)
    changed = latents[:, chosen]
    added[:, chosen] = length * bend(changed.flatten(0, 1)).view_as(changed)
    return added
