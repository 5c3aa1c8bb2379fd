"""DirectionSource: a generator -> named Directions. The contract; every other module is one source."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents
from backends.generators import Generator
from plugins import ConfigError


@dataclass(frozen=True)
class Direction:
    """One edit: how far latents move per unit of strength, and how far one may go."""

    name: str  # unique in its source: "SeFa 1", "smile"
    step: Callable[[Latents], Latents]  # latents -> what one unit of strength adds to them (same shape)
    low: float  # slider ends, in strength units; both ends still give images
    high: float
    note: str = ""  # shown beside the slider: eigenvalue, layers, accuracy

    @staticmethod
    def linear(
        name: str, vector: Float[Tensor, "rows dim"], low: float, high: float, note: str = ""
    ) -> "Direction":
        """The same move for every latent: `vector` has one row per generator layer, zero where nothing changes."""
        return Direction(name, lambda latents: vector.to(latents).expand_as(latents), low, high, note)


@dataclass
class DirectionSource(ABC):
    """Fields of a concrete source are its YAML settings, after these two that every source has."""

    layers: str = "all"  # rows of W+ that are analysed and edited: "all", or as in "0-2,5"
    count: int = 10  # how many directions at most

    @abstractmethod
    def directions(self, generator: Generator) -> list[Direction]:
        """The directions for this generator, most important first. Names are unique within the source."""

    def find(self, generator: Generator, name: str) -> Direction:
        """The direction with this name, also one that `directions` lists only under other settings.

        Raises ConfigError, listing the names that exist.
        """
        listed = {direction.name: direction for direction in self.directions(generator)}
        if name not in listed:
            raise ConfigError(f"no direction is called {name!r}; there are: {', '.join(listed)}")
        return listed[name]


def parse_layers(text: str, layers: int) -> list[int]:
    """Layer indices of "all" or of a list such as "0-2, 5" (dashes include both ends), sorted, without repeats.

    Raises ConfigError when the text is malformed or names a layer outside 0...layers - 1.
    """
    if text.strip().lower() in ("all", ""):
        return list(range(layers))
    chosen: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.strip().isdecimal() or (last and not last.strip().isdecimal()):
            raise ConfigError(f"layers {text!r}: cannot read {part.strip()!r}; write 'all' or, say, '0-2,5'")
        span = range(int(first), int(last or first) + 1)
        if not span or span[-1] >= layers:
            raise ConfigError(f"layers {text!r}: {part.strip()!r} is not within 0-{layers - 1}")
        chosen.update(span)
    return sorted(chosen)


def on_layers(vector: Float[Tensor, " dim"], chosen: list[int], layers: int) -> Float[Tensor, "layers dim"]:
    """`vector` on the chosen rows, zero on the others."""
    rows = torch.zeros(layers, vector.shape[-1], device=vector.device)
    rows[chosen] = vector
    return rows
