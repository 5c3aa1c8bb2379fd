"""WarpedGANSpace: directions that bend with the latent (Tzelepis, Tzimiropoulos and Patras, ICCV 2021)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from backends.generators import Generator
from config import ConfigError
from directions._cache import by_file
from directions._numbered import Components, Numbered


@dataclass
class Warped(Numbered):
    """The warps that `training/shifts.py` learnt with `model: warps`.

    In the paper a path is followed in small steps; here a slider follows the tangent at the latent that is
    edited. Strengths count the standard deviation of W along the direction at the mean latent.
    """

    file: str = ""  # .safetensors of a training run, relative to the project's folder
    label: ClassVar[str] = "Warp"

    def components(self, generator: Generator) -> Components:
        warps = _read(self.file).to(generator.mean().device)
        if warps.mean.numel() != generator.dim:
            raise ConfigError(f"{self.file}: its warps are not for latents of {generator.dim} numbers")
        bends = [partial(warps.tangent, number=i) for i in range(len(warps.support))]
        mean = generator.mean().mean(1)
        return Components(torch.cat([bend(mean) for bend in bends]), [""] * len(bends), bends)


@by_file
def _read(path: Path) -> "Warps":
    return Warps.load(load_file(path))


class Warps(nn.Module):
    """K functions of a latent's coordinates, each a sum of Gaussians in antipodal pairs of opposite sign.

    A direction is the gradient of such a sum (section 3.1). Coordinates are standard deviations along the
    rows of `frame`, from `mean`.
    """

    frame: Tensor
    mean: Tensor

    def __init__(self, count: int, pairs: int, frame: Float[Tensor, "k dim"], mean: Float[Tensor, " dim"]):
        super().__init__()
        self.register_buffer("frame", frame)
        self.register_buffer("mean", mean)
        start = normalize(torch.randn(count, pairs, len(frame), device=frame.device), dim=2)
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
        return normalize(gradient, dim=1) @ self.frame

    def tangent(self, w: Float[Tensor, "n dim"], number: int) -> Float[Tensor, "n dim"]:
        """The unit vectors of `move`."""
        return normalize(self.move(w, number), dim=1)
