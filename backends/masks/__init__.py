"""Mask: where an edit of a crop may show. The contract; every other module of this folder is one mask."""

from abc import ABC, abstractmethod

from jaxtyping import Float
from torch import Tensor

from backends import Backend, Images, Latents
from backends.compositing import SoftMask
from backends.generators import Generator

Look = Float[Tensor, "n channels rows rows"]


class Mask(Backend, ABC):
    """Fields of a concrete mask are its YAML settings; weights load on first use.

    In two parts, because the picture before an edit stays while sliders move.
    """

    margin: float = 0.04  # as in `compositing.Paste`

    @abstractmethod
    def look(self, generator: Generator, latents: Latents, images: Images) -> Look:
        """What the mask has to know of pictures: `images`, of any size, are what `generator` draws of the
        latents. Small, without gradients. Raises ConfigError for a generator that the mask was not made for.
        """

    @abstractmethod
    def between(self, before: Look, after: Look) -> SoftMask:
        """1 where the edit shows, 0 where the photograph stays, soft in between; looks are at one picture
        (n = 1) each. Where the square ends within a photograph, `compositing` closes the mask."""
