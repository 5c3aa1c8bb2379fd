"""Soft masks from hard ones: grown and feathered."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.compositing import SoftMask


def soft(inside: Float[Tensor, "rows rows"], grow: float, feather: float) -> SoftMask:
    """1 where `inside` is 1 and within `grow` of it, then falling to 0 over `feather`, shares of the side."""
    rows = len(inside)
    fall = max(1, round(feather * rows / 2))  # radius of the blur
    reach = round(grow * rows) + fall
    grown = F.max_pool2d(inside[None, None], 2 * reach + 1, 1, reach)
    return blurred(grown, fall)[0, 0]


def blurred(
    maps: Float[Tensor, "n channels rows rows"], radius: int
) -> Float[Tensor, "n channels rows rows"]:
    """A mean over squares of 2 radius + 1 pixels; what is 1 that far around stays exactly 1."""
    return F.avg_pool2d(maps, 2 * radius + 1, 1, radius, count_include_pad=False)
