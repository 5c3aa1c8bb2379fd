"""Upsampling by an inverse Haar transform without the grid that it draws.

A detail band whose mean is not zero, and after a LeakyReLU none is, alternates from pixel to pixel; at a
coarse layer it alternates from block to block of the picture. A low-pass filter without gain at the Nyquist
frequency takes exactly that away (Karras et al., NeurIPS 2021, on aliasing).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from backends.networks.mobilestylegan import inverse_haar

# neither has gain at the Nyquist frequency; the second is nearly flat up to half of it
SOFT = (0.25, 0.5, 0.25)  # for maps
FLAT = (-0.0625, 0.25, 0.625, 0.25, -0.0625)  # for pictures


def smooth_haar(channels: int, taps: tuple[float, ...]) -> Float[Tensor, "channels quarter kernel kernel"]:
    """The inverse Haar transform and a filter after it, as one transposed convolution of stride 2."""
    squares = inverse_haar(torch.eye(channels)[:, :, None, None])  # what each band draws, 2 x 2 pixels
    low_pass = torch.outer(torch.tensor(taps), torch.tensor(taps)).expand(channels // 4, 1, -1, -1)
    return functional.conv2d(squares, low_pass, padding=len(taps) - 1, groups=channels // 4)


def blurred(x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n channels side side"]:
    """SOFT in both directions: with `inverse_haar` what `smooth_haar` does at once, faster in float32."""
    taps = torch.tensor(SOFT, dtype=x.dtype, device=x.device)
    kernel = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
    x = x.contiguous(memory_format=torch.channels_last)
    return functional.conv2d(x, kernel, padding=1, groups=x.shape[1])
