"""A cheap, differentiable stand-in for a generator's picture, true at one latent and good near it."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize

RIDGE = 1e-3  # of the least squares, relative to the mean square of the features

Features = Float[Tensor, "n channels side side"]


class LinearHead:
    """The picture, at twice the side of the generator's `features`, as an affine function of them.

    The layers behind the features cost most of a picture and mainly turn features into colours. A head
    fitted by least squares does that nearly as well for one picture, so a step needs neither those
    layers nor their backward pass. The head depends on the latent, so fit again every few steps
    (compare space mapping: Bandler et al., IEEE Trans. MTT 1994). Rows of the latent that only those
    layers read get no gradient.
    """

    def __init__(self) -> None:
        self.head: Float[Tensor, "n inputs 12"] | None = None

    @torch.no_grad()
    def fit(self, features: Features, pictures: Images) -> None:
        """Fit the head to the true `pictures` with these features; corrects the head if there is one."""
        wanted = F.pixel_unshuffle(resize(pictures, 2 * features.shape[-1]), 2)  # (n, 12, side, side)
        inputs = _places(features)
        missing = _rows(wanted)
        if self.head is not None:
            missing = missing - inputs @ self.head
        squares = inputs.transpose(1, 2) @ inputs
        ridge = RIDGE * squares.diagonal(dim1=1, dim2=2).mean(1)[:, None, None]
        squares = squares + ridge * torch.eye(squares.shape[1], device=squares.device)
        change = torch.linalg.solve(squares, inputs.transpose(1, 2) @ missing)
        self.head = change if self.head is None else self.head + change

    def picture(self, features: Features) -> Images:
        """Differentiable; for as many features as were fitted."""
        assert self.head is not None, "fit comes first"
        colours = (_places(features) @ self.head).transpose(1, 2).unflatten(2, features.shape[2:])
        return F.pixel_shuffle(colours, 2)


def _rows(x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n places channels"]:
    return x.flatten(2).transpose(1, 2)


def _places(features: Features) -> Float[Tensor, "n places inputs"]:
    """One row of features per place of the picture, with a constant for the bias."""
    rows = _rows(features)
    return torch.cat([rows, torch.ones_like(rows[:, :, :1])], dim=2)
