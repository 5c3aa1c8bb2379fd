"""Directions that a second network recognises in pictures, linear or curved, learnt without labels.

    python cli.py train configs/training/cats_shifts.yaml

A latent is moved along one of K directions; the reconstructor sees the pictures before and after, and says
which direction it was and how far. Both learn together, so that directions become as distinct as they can be.
Linear directions: Voynov and Babenko (ICML 2020). Curved ones: WarpedGANSpace (Tzelepis et al., ICCV 2021).
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from directions._statistics import statistics
from directions.warped import Warps
from training._directions import DescentTrainer, basis, seen


@dataclass(kw_only=True)
class Shifts(DescentTrainer):
    """Writes what `directions/deformator.py` or, with `model: warps`, `directions/warped.py` reads."""

    model: Literal["deformator", "warps"] = "deformator"
    directions: int = 32  # K
    pairs: int = 8  # of Gaussians in each warp
    least: float = 0.5  # a move's length, between these, both ways, in standard deviations
    most: float = 6.0
    maps: int = -1  # W+ layer after which feature maps are seen instead of pictures; -1 = pictures
    pixels: int = 64  # side of the pictures that are seen
    width: int = 64  # channels of the reconstructor
    truncation: float = 1.0
    seed: int = 0
    # of the direction's number, and of the length of the move; weights of both papers
    losses: dict[str, float] = field(default_factory=lambda: {"classification": 1.0, "length": 0.25})

    @cached_property
    def directions_model(self) -> "Deformator | Warps":
        torch.manual_seed(self.seed)
        components = basis(self.network, range(self.network.layers), self.components)
        if self.model == "deformator":
            return Deformator(self.directions, components)
        return Warps(self.directions, self.pairs, components, statistics(self.network).mean.mean(0))

    @cached_property
    def reconstructor(self) -> "Reconstructor":
        mean = self.network.mean()
        channels = seen(self.network, mean, self.maps, self.pixels).shape[1]
        return Reconstructor(channels, self.width, self.directions).to(mean.device)

    def models(self) -> dict[str, nn.Module]:
        return {"model": self.directions_model, "reconstructor": self.reconstructor}

    def terms(self, share: int) -> dict[str, Tensor]:
        numbers, lengths = self.moves(share)
        seeds = [share * self.batch + i for i in range(self.batch)]
        latents = self.network.sample(seeds, self.truncation)
        numbers, lengths = numbers.to(latents.device), lengths.to(latents)
        w, model = latents.mean(1), self.directions_model
        moves = torch.cat([model.move(w[i : i + 1], number) for i, number in enumerate(numbers.tolist())])
        with torch.no_grad():
            before = seen(self.network, latents, self.maps, self.pixels)
        moved = latents + (lengths[:, None] * moves)[:, None]
        logits, guessed = self.reconstructor(before, seen(self.network, moved, self.maps, self.pixels))
        self.reconstructor.remember(numbers, logits.argmax(1) == numbers)
        return {
            "classification": functional.cross_entropy(logits, numbers),
            "length": (guessed - lengths).abs().mean(),
            "accuracy": self.reconstructor.accuracy.mean(),
        }

    def moves(self, share: int) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"]]:
        """Which directions are taken and how far, in standard deviations."""
        source = torch.Generator().manual_seed(self.seed * 10**8 + share)
        numbers = torch.randint(0, self.directions, (self.batch,), generator=source)
        uniform = 2 * torch.rand(self.batch, generator=source) - 1
        return numbers, uniform.sign() * (self.least + (self.most - self.least) * uniform.abs())

    @torch.no_grad()
    def export(self) -> None:
        """The directions that are recognised most often come first."""
        accuracy = self.reconstructor.accuracy
        order = accuracy.argsort(descending=True)
        state = self.directions_model.ordered(order) | {"accuracy": accuracy[order]}
        save_file({name: value.cpu().contiguous() for name, value in state.items()}, self.result)


class Deformator(nn.Module):
    """Orthonormal directions, as in the paper's best variant: the rows of an orthogonalised matrix."""

    def __init__(self, count: int, basis: Float[Tensor, "k dim"]) -> None:
        super().__init__()
        self.register_buffer("basis", basis)
        self.matrix = nn.Parameter(torch.randn(len(basis), count, device=basis.device))

    def vectors(self) -> Float[Tensor, "count dim"]:
        return torch.linalg.qr(self.matrix)[0].T @ self.basis

    def move(self, w: Float[Tensor, "n dim"], number: int) -> Float[Tensor, "n dim"]:
        return self.vectors()[number].expand_as(w)

    def ordered(self, order: Int[Tensor, " count"]) -> dict[str, Tensor]:
        """What a file holds, with the directions in this order."""
        return {"params": self.vectors()[order]}


class Reconstructor(nn.Module):
    """Two pictures, or feature maps, to the direction (K logits) and the signed length of the move."""

    def __init__(self, channels: int, width: int, count: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2 * channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            *self._halving(width, 2 * width),
            *self._halving(2 * width, 4 * width),
            *self._halving(4 * width, 4 * width),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(4 * 4 * width, count + 1)
        self.accuracy: Tensor
        self.register_buffer("accuracy", torch.full((count,), 0.5))  # of each direction, of late

    @staticmethod
    def _halving(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]

    def forward(
        self, before: Float[Tensor, "n channels h w"], after: Float[Tensor, "n channels h w"]
    ) -> tuple[Float[Tensor, "n count"], Float[Tensor, " n"]]:
        out = self.head(self.body(torch.cat([before, after - before], dim=1)))
        return out[:, :-1], out[:, -1]

    def remember(self, numbers: Int[Tensor, " n"], right: Bool[Tensor, " n"]) -> None:
        """Update the moving average of the accuracy."""
        for number, correct in zip(numbers.tolist(), right.float().tolist(), strict=True):
            self.accuracy[number] += 0.05 * (correct - self.accuracy[number])
