"""The guided filter (He, Sun & Tang, TPAMI 2013): a mask that ends where the colours of a picture do."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.masks import Look


def guided(
    mask: Look, picture: Float[Tensor, "n 3 rows rows"], radius: int, smallest: float = 0.01
) -> Float[Tensor, "n 1 rows rows"]:
    """In every window, of 2 radius + 1 pixels, the affine function of colour that is nearest to `mask`
    (equations 14 to 17); `smallest` is the variance of colour, in [-1, 1], that counts as an edge.
    """
    mean, share = _mean(picture, radius), _mean(mask, radius)
    with_mask = _mean(picture * mask, radius) - mean * share
    products = [picture * picture[:, i : i + 1] for i in range(3)]
    own = [_mean(each, radius) - mean * mean[:, i : i + 1] for i, each in enumerate(products)]
    for i, row in enumerate(own):
        row[:, i] += smallest
    adjoint = [torch.linalg.cross(own[(i + 1) % 3], own[(i + 2) % 3], dim=1) for i in range(3)]
    determinant = (own[0] * adjoint[0]).sum(1, keepdim=True)
    slope = torch.stack([(each * with_mask).sum(1) for each in adjoint], 1) / determinant
    offset = share - (slope * mean).sum(1, keepdim=True)
    return (_mean(slope, radius) * picture).sum(1, keepdim=True) + _mean(offset, radius)


def _mean(maps: Float[Tensor, "n channels rows rows"], radius: int) -> Float[Tensor, "n channels rows rows"]:
    window = 2 * radius + 1
    maps = F.avg_pool2d(maps, (window, 1), 1, (radius, 0), count_include_pad=False)
    return F.avg_pool2d(maps, (1, window), 1, (0, radius), count_include_pad=False)
