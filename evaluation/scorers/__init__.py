"""Scorer: images -> numbers with names ("smiling", "yaw"). The contract; every other module is one scorer.

What a scorer measures is what boundaries are fitted to, and what other directions are named after.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, losses
from backends.generators import Generator

SIDE = 256  # pixels of the pictures that scorers look at, where the generator's are not smaller


class Scorer(ABC):
    """Fields of a concrete scorer are its YAML settings; weights load on first use, never before."""

    @property
    @abstractmethod
    def names(self) -> list[str]:
        """What is measured, in the order of the columns of `score`; unique over all scorers of a domain."""

    @abstractmethod
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        """A number per image and name, larger = more of it; on any scale, as only ranks and ratios are used.

        `samples` names the images ("seed 7"), for labels that people gave; most scorers read pixels only.
        """

    def content(self) -> str:
        """Tells one version of the files that are read from another; "" for scorers without files."""
        return ""


@torch.no_grad()
def pictures(generator: Generator, latents: Latents) -> Images:
    """What is scored: the fast path's pictures within [-1, 1], SIDE pixels or as large as they are."""
    images = generator.render(latents, preview=generator.size >= 2 * SIDE).clamp(-1, 1)
    return losses.resize(images, SIDE) if images.shape[-1] > SIDE else images


@torch.no_grad()
def score(scorers: Sequence[Scorer], images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
    """Columns of all scorers, side by side, on the processor."""
    return torch.cat([scorer.score(images, samples).float().cpu() for scorer in scorers], dim=1)


def names(scorers: Sequence[Scorer]) -> list[str]:
    """Names of the columns of `score`. Raises ValueError when two scorers use the same name."""
    listed = [name for scorer in scorers for name in scorer.names]
    if twice := sorted({name for name in listed if listed.count(name) > 1}):
        raise ValueError(f"two scorers measure {', '.join(twice)}")
    return listed
