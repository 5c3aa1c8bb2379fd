"""Differentiable augmentation (Zhao et al., NeurIPS 2020): what the discriminator sees, real or generated.

The random numbers are drawn apart from their use, so that a photograph and the picture matched with it can be
changed in the same way.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images


@dataclass
class Augmentation:
    """Strengths; 0 switches a change off."""

    colour: float = 0.5  # brightness +-half of it; saturation and contrast within 1 +- it
    translation: float = 0.125  # at most this share of the side
    cutout: float = 0.25  # side of the grey square, as a share of the picture's
    zoom: float = 0.0  # magnification within 1 +- it


def draw(count: int, source: torch.Generator) -> Float[Tensor, "count 8"]:
    """Uniform numbers in [-1, 1] that determine one change per picture."""
    return 2 * torch.rand(count, 8, generator=source) - 1


def augment(images: Images, numbers: Float[Tensor, "n 8"], strength: Augmentation) -> Images:
    """The changed pictures; differentiable in `images`."""
    numbers = numbers.to(images)
    if strength.colour:
        images = _coloured(images, numbers[:, :3] * strength.colour)
    if strength.translation or strength.zoom:
        images = _moved(images, numbers[:, 3:5] * strength.translation, 1 + numbers[:, 7] * strength.zoom)
    return _cut(images, numbers[:, 5:7], strength.cutout) if strength.cutout else images


def _coloured(images: Images, numbers: Float[Tensor, "n 3"]) -> Images:
    brightness, saturation, contrast = (n[:, None, None, None] for n in numbers.unbind(1))
    images = images + brightness / 2
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + saturation)
    middle = images.mean((1, 2, 3), keepdim=True)
    return middle + (images - middle) * (1 + contrast)


def _moved(images: Images, shift: Float[Tensor, "n 2"], zoom: Float[Tensor, " n"]) -> Images:
    side = images.shape[-1]
    shift = (shift * side).round() / side * 2  # whole pixels: nothing is blurred; grid units are half sides
    matrix = torch.zeros(len(images), 2, 3, device=images.device, dtype=images.dtype)
    matrix[:, 0, 0] = matrix[:, 1, 1] = 1 / zoom
    matrix[:, :, 2] = shift
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="zeros", align_corners=False)


def _cut(images: Images, centre: Float[Tensor, "n 2"], share: float) -> Images:
    axis = torch.linspace(-1, 1, images.shape[-1], device=images.device)
    rows, columns = ((axis - c[:, None]).abs() < share for c in centre.unbind(1))  # (n, side) each
    return images * ~(rows[:, None, :, None] & columns[:, None, None, :])
