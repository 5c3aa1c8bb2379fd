"""Eigenpictures: the coarse part of a picture as a sum, whose amounts are an affine of w.

A few thousand photographs are too few for a generator to find out, from a 4x4 constant, where eyes and ears
may be: it paints one cat and changes its colours. Eigenpictures (Turk & Pentland, 1991) say it from the
start, blurred; the convolutions see them and add everything that is sharp.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images
from backends.networks.linear_encoder import SIDE
from backends.networks.mobilestylegan import Modulation


class Eigenpictures(nn.Module):
    """Style vector -> picture of 32 x 32 pixels, about [-1, 1]. The principal pictures are constants."""

    def __init__(self, count: int, dim: int) -> None:
        """`count` principal pictures."""
        super().__init__()
        self.modulation = Modulation(dim, count)  # the amount of each
        self.pictures: Tensor
        self.middle: Tensor
        self.register_buffer("pictures", torch.zeros(count, 3 * SIDE**2))  # orthonormal rows
        self.register_buffer("middle", torch.zeros(3 * SIDE**2))

    def forward(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "n 3 32 32"]:
        return (self.modulation(w) @ self.pictures + self.middle).unflatten(1, (3, SIDE, SIDE))


def enlarged(pictures: Float[Tensor, "n 3 side side"], size: int) -> Images:
    """Smoothly, to `size` x `size` pixels: bicubic, as two matrix products, whose gradient is cheaper."""
    side = pictures.shape[-1]
    if side == size:
        return pictures
    steps = torch.eye(side, dtype=pictures.dtype, device=pictures.device)[None, None]
    enlarge = F.interpolate(steps, size=(size, side), mode="bicubic")[0, 0]  # (size, side)
    return enlarge @ pictures @ enlarge.T
