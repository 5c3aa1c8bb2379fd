"""e4e's latent discriminator: is a vector of W+ one that the mapping could have made? (section 4.2)"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends.inverters import check_least

SLOPE = 0.2
Codes = Float[Tensor, "n dim"]  # whitened vectors, each of one layer


@dataclass
class Adversary:
    """Settings of the latent discriminator; those of e4e, whose weight of R1 is for the logits' own scale."""

    rate: float = 2e-5
    r1: float = 10.0  # weight of the gradient penalty on real vectors
    every: int = 16  # steps between penalties, whose weight is multiplied by as much
    pool: int = 50  # earlier vectors, half of which are shown instead of new ones
    width: int = 512

    def __post_init__(self) -> None:
        check_least(1, self, "every", "pool", "width")


class LatentDiscriminator(nn.Module):
    """Four fully connected layers, and a pool of earlier vectors (Shrivastava et al., CVPR 2017)."""

    def __init__(self, dim: int, settings: Adversary) -> None:
        super().__init__()
        widths = [dim, *[settings.width] * 3]
        self.layers = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(SLOPE))
                for inputs, outputs in pairwise(widths)
            ),
            nn.Linear(settings.width, 1),
        )
        self.pool: Tensor
        self.filled: Tensor
        self.register_buffer("pool", torch.zeros(settings.pool, dim))
        self.register_buffer("filled", torch.zeros((), dtype=torch.long))

    def forward(self, codes: Codes) -> Float[Tensor, " n"]:
        """Logits of being real."""
        return self.layers(codes)[:, 0]

    @torch.no_grad()
    def pooled(self, codes: Codes, numbers: torch.Generator) -> Codes:
        """As many vectors, about half of them older ones, whose places in the pool the new ones take."""
        shown = codes.clone()
        for i, code in enumerate(codes):
            if self.filled < len(self.pool):
                self.pool[self.filled] = code
                self.filled += 1
            elif torch.rand((), generator=numbers) < 0.5:
                place = int(torch.randint(len(self.pool), (), generator=numbers))
                shown[i] = self.pool[place]
                self.pool[place] = code
        return shown


def fooled(discriminator: LatentDiscriminator, coordinates: Float[Tensor, "n layers dim"]) -> Tensor:
    """What the encoder pays: softplus(-D(w)), averaged over layers."""
    return F.softplus(-discriminator(coordinates.flatten(0, 1))).mean()


def terms(discriminator: LatentDiscriminator, real: Codes, fake: Codes, penalty: bool) -> dict[str, Tensor]:
    """What the discriminator pays: the logistic loss, and the squared gradient at real vectors (R1)."""
    real = real.requires_grad_(penalty)
    logits = discriminator(real)
    logistic = F.softplus(-logits).mean() + F.softplus(discriminator(fake)).mean()
    if not penalty:
        return {"discriminator": logistic}
    [slope] = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return {"discriminator": logistic, "r1": slope.square().sum(1).mean() / 2}
