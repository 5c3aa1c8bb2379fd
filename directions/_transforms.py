"""Changes of a picture that are known beforehand: what steerability asks a generator to do."""

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

SPATIAL = ("zoom in", "shift right", "shift down", "turn clockwise")  # of pictures and of maps
COLOURS = ("brighter", "redder", "greener", "bluer")  # of pictures alone
NAMES = SPATIAL + COLOURS


def transformed(
    name: str, images: Float[Tensor, "n channels side side"], amount: float
) -> tuple[Float[Tensor, "n channels side side"], Float[Tensor, "1 1 side side"]]:
    """The pictures after a change, and a mask: 1 where it is known what is to be seen, 0 where it came in.

    `amount` is the logarithm of the scale, the shift in halves of the side, the angle in radians, or the
    colour's increase (of a range of 2).
    """
    if name in COLOURS:
        shift = torch.zeros(3, 1, 1, device=images.device)
        shift[slice(None) if name == "brighter" else COLOURS.index(name) - 1] = amount
        return images + shift, torch.ones_like(images[:1, :1])
    ones = torch.ones_like(images[:1, :1])
    return _sampled(images, name, amount), _sampled(ones, name, amount)


def _sampled(
    images: Float[Tensor, "n channels side side"], name: str, amount: float
) -> Float[Tensor, "n channels side side"]:
    """Bilinear, zeros from outside."""
    scale = math.exp(-amount) if name == "zoom in" else 1.0
    angle = -amount if name == "turn clockwise" else 0.0
    cosine, sine = scale * math.cos(angle), scale * math.sin(angle)
    # where each pixel comes from, in coordinates from -1 to 1
    right, down = (-amount if name == wanted else 0.0 for wanted in ("shift right", "shift down"))
    rows = torch.tensor([[cosine, -sine, right], [sine, cosine, down]], device=images.device)
    grid = functional.affine_grid(rows.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)
