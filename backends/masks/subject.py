"""What the generator itself tells from the background: a linear classifier on its feature maps.

Feature maps of a GAN separate semantic parts (Collins et al., "Editing in style", CVPR 2020), so that one
weight a channel is enough. `training/subject.py` fits them.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from backends import Images, Latents, weights
from backends.compositing import SoftMask
from backends.generators import Generator
from backends.masks import Look, Mask
from backends.masks._guided import guided
from backends.masks._soft import soft
from config import ConfigError

SURE = -1.0  # logit from which a place belongs to the subject: rather some background than hair cut off
REACH = 0.1  # as far as colours continue the subject, share of the side


@dataclass
class Subject(Mask):
    """The subject before the edit and after it, such as head and hair."""

    weights: str  # of the classifier: entry of backends/weights.yaml, or the path of a file
    grow: float = 0.0  # share of the side, around the places that the feather leaves at 1
    feather: float = 0.03  # over which the mask falls off, share of the side
    left: float = 0.05  # around what the subject leaves, where its outline would stay, share of the side

    def __post_init__(self) -> None:
        if min(self.grow, self.feather, self.left) < 0:
            raise ValueError("grow, feather and left must be at least 0")

    def required(self) -> list[str]:
        return [] if weights.own(self.weights) else [self.weights]

    @torch.no_grad()
    def look(self, generator: Generator, latents: Latents, images: Images) -> Look:
        """1 at the places of the subject, 0 elsewhere.

        Of an inverted photograph the maps may not show all, such as the ears of a head that the latents draw
        too narrow: what continues the subject in the picture itself, in the same colours, is added.
        """
        weight, layer = self._state["weight"], int(self._state["layer"])
        maps = generator.cut(latents, layer).maps if layer < generator.layers else None
        if maps is None or maps.shape[1] != weight.shape[1]:
            raise ConfigError(f"mask: {self.weights} was not made for the maps of this generator")
        logits = F.conv2d(maps, weight.to(maps), self._state["bias"].to(maps))
        belongs = _cleaned((logits > SURE).to(maps))
        rows = belongs.shape[-1]
        colours = F.interpolate(images, (rows, rows), mode="area")
        radius = max(1, round(REACH * rows))
        return _cleaned(torch.maximum(belongs, (guided(belongs, colours, radius) > 0.5).to(maps)))

    def between(self, before: Look, after: Look) -> SoftMask:
        left = _grown(before * (1 - _grown(after, 1)), round(self.left * before.shape[-1]))
        return soft(torch.maximum(left, torch.maximum(before, after))[0, 0], self.grow, self.feather)

    @cached_property
    def _state(self) -> dict[str, Tensor]:
        """weight (1, channels, 1, 1), bias (1,), layer ()."""
        return weights.state(self.weights)


def _cleaned(inside: Look) -> Look:
    """Without holes and specks, less than 5 and 3 places wide, and without what does not touch the subject in
    the middle: the ear of a stranger."""
    closed = -_grown(-_grown(inside, 2), 2)
    opened = _grown(-_grown(-closed, 1), 1)
    quarter = inside.shape[-1] // 4
    reached = F.pad(opened[..., quarter:-quarter, quarter:-quarter], [quarter] * 4)
    for _ in range(4 * quarter):
        wider = _grown(reached, 1) * opened
        if torch.equal(wider, reached):
            break
        reached = wider
    return reached


def _grown(maps: Look, radius: int) -> Look:
    return F.max_pool2d(maps, 2 * radius + 1, 1, radius)
