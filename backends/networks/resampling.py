"""How StyleGAN2 doubles the side of pictures: zero insertion and the low-pass filter 1-3-3-1."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

FILTER = [0.25, 0.75, 0.75, 0.25]  # times 2 for the inserted zeros


def fir(channels: int, like: Tensor) -> Float[Tensor, "channels 1 4 4"]:
    """FILTER in both directions."""
    taps = torch.tensor(FILTER, dtype=like.dtype, device=like.device)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    return kernel.contiguous(memory_format=torch.channels_last)


def blur(x: Tensor, padding: int) -> Tensor:
    return F.conv2d(x, fir(x.shape[1], x), padding=padding, groups=x.shape[1])


def upsample(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 height width"]:
    """Twice the side through 1-3-3-1: bilinear, but with zeros outside the picture."""
    return F.interpolate(F.pad(image, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]
