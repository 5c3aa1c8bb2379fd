"""DirectionSource: a generator -> named Directions. The contract; every other module is one source."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents
from backends.generators import Generator
from config import ConfigError
from directions._ids import LONGEST_ID, LONGEST_LAYERS, DirectionId, split_conditions

__all__ = [
    "LONGEST_ID",
    "Direction",
    "DirectionId",
    "DirectionSource",
    "on_layers",
    "parse_layers",
    "split_conditions",
    "unknown",
]


@dataclass(frozen=True)
class Direction:
    """One edit: how far latents move per unit of strength, and how far one may go.

    A strength of 1 moves by one standard deviation of the generator's own latents along the direction, for
    every source, so that all sliders feel alike; ends are usually -3 and 3. The note gives the length of that
    move on each layer, to compare with published strengths, which count unit vectors of the latent space.
    """

    name: str  # unique in its source: "SeFa 1", "smile"
    step: Callable[[Latents], Latents]  # latents -> what one unit of strength adds to them (same shape)
    low: float  # slider ends, in strength units; both ends still give images
    high: float
    note: str = ""  # shown beside the slider: eigenvalue, layers, accuracy
    conditions: tuple[str, ...] = ()  # names that `find` takes after "| keep"; none for most sources

    @staticmethod
    def linear(
        name: str,
        vector: Float[Tensor, "rows dim"],
        low: float,
        high: float,
        note: str = "",
        conditions: tuple[str, ...] = (),
    ) -> "Direction":
        """The same move for every latent; `vector` has a row per layer, zero where nothing changes."""
        return Direction(
            name, lambda latents: vector.to(latents).expand_as(latents), low, high, note, conditions
        )


@dataclass
class DirectionSource(ABC):
    """Fields of a concrete source are its YAML settings, after these two that every source has."""

    layers: str = "all"  # those of W+ that are analysed and edited: "all", "coarse", "0-2,5"
    count: int = 10  # how many directions at most
    unit: ClassVar[str] = "latents"  # whose standard deviation a strength of 1 is

    def chosen(self, generator: Generator) -> list[int]:
        """Indices of `layers`. Raises ConfigError."""
        return parse_layers(self.layers, generator.layers, generator.size)

    @abstractmethod
    def directions(self, generator: Generator) -> list[Direction]:
        """The directions for this generator, most important first. Names are unique within the source.

        Links hold nothing but names: the same settings always give the same directions, and the first ones do
        not depend on `count`. `directions._statistics.spread` measures the unit of strength.
        """

    def find(self, generator: Generator, name: str) -> Direction:
        """The direction with this name, also one that `directions` lists only under other settings.

        Raises ConfigError, listing the names that exist.
        """
        listed = {direction.name: direction for direction in self.directions(generator)}
        if name not in listed:
            raise unknown(name, listed)
        return listed[name]


GROUPS = {"coarse": (0, 2), "middle": (2, 4), "fine": (4, None)}  # resolutions: 4-8, 16-32 and 64... pixels


def parse_layers(text: str, layers: int, size: int) -> list[int]:
    """Layer indices of "all" or of a list such as "0-2, 5" (dashes include both ends), sorted, each once.

    A part may also be a group of StyleGAN's style mixing (section 3.1): "coarse" (pose, shape), "middle"
    (features) or "fine" (colours); `size`, the side of the picture, tells how many resolutions there are.
    Raises ConfigError when the text is malformed, longer than LONGEST_LAYERS or names a layer outside
    0...layers - 1.
    """
    if len(text) > LONGEST_LAYERS:
        raise ConfigError(f"a list of layers has at most {LONGEST_LAYERS} characters, as in '0-2,5'")
    if text.strip().lower() in ("all", ""):
        return list(range(layers))
    chosen: set[int] = set()
    for part in (part.strip().lower() for part in text.split(",")):
        span = _group(part, layers, size) if part in GROUPS else _span(part, text)
        if not span or span[-1] >= layers:
            raise ConfigError(f"layers {text!r}: {part!r} is not within 0-{layers - 1}")
        chosen.update(span)
    return sorted(chosen)


def _span(part: str, text: str) -> range:
    first, _, last = part.partition("-")
    if not first.strip().isdecimal() or (last and not last.strip().isdecimal()):
        known = ", ".join(GROUPS)
        raise ConfigError(f"layers {text!r}: cannot read {part!r}; write 'all', {known} or, say, '0-2,5'")
    return range(int(first), int(last or first) + 1)


def _group(name: str, layers: int, size: int) -> range:
    first, end = GROUPS[name]
    each = layers / max(math.log2(size / 4) + 1, 1)  # layers of one resolution: 4, 8, ... size pixels
    return range(round(first * each), layers if end is None else min(round(end * each), layers))


def on_layers(
    vector: Float[Tensor, "*chosen dim"], chosen: list[int], layers: int
) -> Float[Tensor, "layers dim"]:
    """`vector`, or one for each, on the chosen layers; zero on the others."""
    layered = torch.zeros(layers, vector.shape[-1], device=vector.device)
    layered[chosen] = vector
    return layered


def unknown(name: str, known: Iterable[str]) -> ConfigError:
    """The error for a direction that does not exist."""
    return ConfigError(f"no direction is called {name!r}; there are: {', '.join(known)}")
