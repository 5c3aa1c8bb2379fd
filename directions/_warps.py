"""WarpedGANSpace's model: a direction at every latent, the gradient of a sum of Gaussians (section 3.1)."""

from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional


class Warps(nn.Module):
    """K functions of a latent's coordinates, each a sum of Gaussians in antipodal pairs of opposite sign.

    Coordinates are standard deviations along the rows of `frame`, from `mean`.
    """

    frame: Tensor
    mean: Tensor

    def __init__(self, count: int, pairs: int, frame: Float[Tensor, "k dim"], mean: Float[Tensor, " dim"]):
        super().__init__()
        self.register_buffer("frame", frame)
        self.register_buffer("mean", mean)
        start = functional.normalize(torch.randn(count, pairs, len(frame), device=frame.device), dim=2)
        self.support = nn.Parameter(start * len(frame) ** 0.5)  # as far out as latents are
        self.weight = nn.Parameter(torch.ones(count, pairs, device=frame.device))
        self.width = nn.Parameter(torch.full((count, pairs), -1.0, device=frame.device))  # log of gamma * k

    @classmethod
    def load(cls, state: Mapping[str, Tensor]) -> "Warps":
        """Raises KeyError or RuntimeError when the file holds something else."""
        count, pairs, _ = state["support"].shape
        model = cls(count, pairs, state["frame"], state["mean"])
        model.load_state_dict({name: state[name] for name in model.state_dict()})
        return model.requires_grad_(False)

    def ordered(self, order: Int[Tensor, " count"]) -> dict[str, Tensor]:
        """What a file holds, with the directions in this order."""
        learnt = {"support": self.support, "weight": self.weight, "width": self.width}
        return {name: value[order] for name, value in learnt.items()} | {
            "frame": self.frame,
            "mean": self.mean,
        }

    def move(self, w: Float[Tensor, "n dim"], number: int) -> Float[Tensor, "n dim"]:
        """What a unit step along direction `number` adds: its coordinates have length 1."""
        lengths = self.frame.square().sum(1).clamp(min=1e-12)
        coordinates = (w - self.mean) @ self.frame.T / lengths
        gradient = torch.zeros_like(coordinates)
        gamma = self.width[number].exp() / len(self.frame)
        for sign in (1, -1):
            apart = coordinates[:, None] - sign * self.support[number]  # (n, pairs, k)
            height = torch.exp(-gamma * apart.square().sum(2))
            slope = -2 * sign * self.weight[number] * gamma * height
            gradient = gradient + (slope[..., None] * apart).sum(1)
        return functional.normalize(gradient, dim=1) @ self.frame
