"""Is there a grid over the samples? Their power spectrum at the frequencies of one, against photographs'.

What an upsampling layer leaves behind repeats every 2 pixels of its own resolution, so every 2, 4 or 8 pixels
of the picture: a comb of lines at 1/2, 1/4, 1/8 of the sampling frequency and their multiples (Odena et al.,
Distill 2016; Karras et al., NeurIPS 2021). Photographs have no such lines.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images

PERIODS = (2, 4, 8)  # pixels
Power = Float[Tensor, "side side"]


def power(images: Images) -> Power:
    """Mean power spectrum of the brightness, through a Hann window, which keeps the borders out of it."""
    grey = images.float().mean(1)
    window = torch.hann_window(grey.shape[-1], device=grey.device)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window * window[:, None]
    return torch.fft.fft2(grey).abs().square().mean(0)


def comb(samples: Power, photographs: Power) -> dict[int, float]:
    """For each period, the samples' energy at its frequencies, divided by the photographs'.

    About 1 without a grid, less for soft pictures. Multiples of a shorter period are left to that one.
    """
    side = len(photographs)
    energies = {}
    for period in PERIODS:
        lines = torch.arange(period) * side // period
        odd = torch.arange(period) % 2 == 1
        taken = odd[:, None] | odd
        rows, columns = (axis[taken] for axis in torch.meshgrid(lines, lines, indexing="ij"))
        energies[period] = float(samples[rows, columns].sum() / photographs[rows, columns].sum())
    return energies


def grid(samples: Power, photographs: Power) -> float:
    """The worst of `comb`: 1.5 or less and nobody sees a grid."""
    return max(comb(samples, photographs).values())
