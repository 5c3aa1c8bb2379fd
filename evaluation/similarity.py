"""How like two pictures are, in the part that the photograph shows."""

import logging
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, device, losses
from evaluation.photographs import Mask

WINDOW, SIGMA = 11, 1.5  # of SSIM's Gaussian, pixels (Wang et al., IEEE TIP 2004, section III.C)
K1, K2 = 0.01, 0.03  # of the same section: keep the ratios stable where the window is dark or flat
RANGE = 2.0  # of pixels, which are within [-1, 1]
log = logging.getLogger(__name__)

Distance = Callable[[Images, Images], Any]


@torch.no_grad()
def compare(picture: Images, photograph: Images, seen: Mask) -> dict[str, float]:
    """Figures of one picture against a photograph of the same size, in [-1, 1].

    `mse` (0...4), `psnr` (decibels, of the full range: 4 / mse), `ssim` and `perceptual` count where `seen`;
    `mse_whole` and `lpips`, which is nan without its package, count everywhere.
    """
    window = seen.float() / seen.float().mean().clamp(min=1e-6)
    mse = float(losses.pixel(picture, photograph, window))
    ours, theirs = (losses.perceptual_features(images, "lite2") for images in (picture, photograph))
    lpips = lpips_distance()
    return {
        "mse": mse,
        "mse_whole": float(losses.pixel(picture, photograph)),
        "psnr": psnr(mse),
        "ssim": float(ssim(picture, photograph, seen)),
        "perceptual": float(losses.perceptual(ours, theirs, window)),
        "lpips": float(lpips(picture, photograph)) if lpips else float("nan"),
    }


def psnr(mse: float) -> float:
    """Decibels; 100 at most, as equal pictures have no noise to compare with."""
    return float(10 * torch.tensor(RANGE**2 / max(mse, RANGE**2 * 1e-10)).log10())


def ssim(a: Images, b: Images, seen: Mask | None = None) -> Float[Tensor, ""]:
    """Structural similarity, mean over colours and over the places around which a whole window fits.

    (Wang et al., IEEE TIP 2004, equation 13.) With `seen` only of places that are seen.
    """
    axis = torch.arange(WINDOW, device=a.device) - WINDOW // 2
    bell = torch.exp(-axis.square() / (2 * SIGMA**2))
    bell = bell / bell.sum()

    def blur(x: Float[Tensor, "n 3 rows columns"]) -> Float[Tensor, "n 3 _ _"]:
        kernel = bell.to(x).repeat(3, 1, 1, 1)
        return F.conv2d(F.conv2d(x, kernel, groups=3), kernel.transpose(2, 3), groups=3)

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a.square(), blur(b * b) - mean_b.square()
    covariance = blur(a * b) - mean_a * mean_b
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    light = (2 * mean_a * mean_b + c1) / (mean_a.square() + mean_b.square() + c1)
    rest = (2 * covariance + c2) / (variance_a + variance_b + c2)
    similar = (light * rest).mean((0, 1))
    inner = slice(WINDOW // 2, -(WINDOW // 2))
    counted = similar[seen[inner, inner]] if seen is not None else similar.flatten()
    return counted.mean()


@lru_cache(maxsize=1)
def lpips_distance() -> Distance | None:
    """LPIPS (Zhang et al., CVPR 2018; AlexNet) of its authors' package, or None where it cannot be had.

    The package `lpips` fetches its backbone from torchvision's own server.
    """
    try:
        network = import_module("lpips").LPIPS(net="alex", verbose=False)
    except Exception as error:  # no package, no torchvision, no network connection, no space on the disk
        log.warning(
            "LPIPS is not measured: it needs the packages lpips and torchvision, and their weights (%s)",
            error,
        )
        return None
    return network.eval().to(device())
