"""What the edit changes: for every domain, without any training."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from backends import Images, Latents
from backends.compositing import SoftMask
from backends.generators import Generator
from backends.masks import Look, Mask
from backends.masks._soft import blurred, soft


@dataclass
class Change(Mask):
    """Where colours, a little blurred, differ by more than a threshold before and after the edit."""

    threshold: float = 8.0  # levels of 255 by which a place must change
    grow: float = 0.04  # around what changes, share of the side
    feather: float = 0.08  # over which the mask falls off, share of the side
    rows: int = 64  # side of the mask
    margin: float = 0.2  # wide: much of the background may change

    def __post_init__(self) -> None:
        if min(self.threshold, self.grow, self.feather) < 0 or self.rows < 8:
            raise ValueError("threshold, grow and feather must be at least 0, and rows at least 8")

    @torch.no_grad()
    def look(self, generator: Generator, latents: Latents, images: Images) -> Look:
        """The pictures, reduced."""
        return F.interpolate(images, (self.rows, self.rows), mode="area")

    def between(self, before: Look, after: Look) -> SoftMask:
        change = blurred((after - before).abs().amax(1, keepdim=True), 1)[0, 0]
        return soft((change * 127.5 > self.threshold).to(change), self.grow, self.feather)
