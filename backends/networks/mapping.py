"""The mapping network, which StyleGAN1 and 2 share, and a helper for numbered weights."""

from itertools import count, takewhile

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU
EPSILON = 1e-8


class Mapping(nn.Sequential):
    """f: Z -> W (StyleGAN, section 2), any depth; the output is one row, or one per layer (IDInvert)."""

    def forward(self, z: Float[Tensor, "n z_dim"]) -> Float[Tensor, "n w_dim"]:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON)
        for layer in self:
            x = F.leaky_relu(layer(x), SLOPE)
        return x


def series(state: dict[str, Tensor], pattern: str, start: int = 0) -> list[str]:
    """The keys `pattern` with `start`, `start` + 1, ... in it, as far as the state has them."""
    return list(takewhile(state.__contains__, map(pattern.format, count(start))))
