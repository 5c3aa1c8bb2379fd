"""Steerability: walks that zoom, shift, turn or recolour, learnt from pictures (Jahanian et al., ICLR 2020).

    python cli.py train configs/training/cats_steerability.yaml

The picture of a moved latent is compared with the moved picture: no labels, and the generator is its own
teacher. `directions/steerability.py` also has the answer in closed form, which small moves agree with.
"""

from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor, nn

from directions._stored import Stored, write
from directions._transforms import NAMES, transformed
from directions.steerability import Steerability as Source
from training import Part
from training._directions import DescentTrainer, basis, seen


@dataclass(kw_only=True)
class Steerability(DescentTrainer):
    """Writes what `directions/steerability.py` reads."""

    walks: list[str] = field(default_factory=lambda: ["zoom in", "shift right", "shift down", "brighter"])
    amount: float = 0.3  # largest transformation (see `directions/_transforms.py`), both ways
    strength: float = 3.0  # of the walk that shall reach it
    maps: int = -1  # W+ layer after which feature maps are compared; -1 = pictures are
    pixels: int = 64  # side of the pictures that are compared
    batch: int = 4
    steps: int = 500  # 0 = no training: the closed form of Spingarn et al. (ICLR 2021)
    rate: float = 0.02
    losses: dict[str, float] = field(default_factory=lambda: {"edit": 1.0})

    def __post_init__(self) -> None:
        super().__post_init__()
        if unknown := [name for name in self.walks if name not in NAMES]:
            raise ValueError(f"walks: {unknown[0]!r} is none; there are: {', '.join(NAMES)}")

    @cached_property
    def basis(self) -> Float[Tensor, "k dim"]:
        return basis(self.network, range(self.network.layers), self.components)

    @cached_property
    def model(self) -> nn.ParameterDict:
        """A vector per transformation, in standard deviations along the components; all zero at first."""
        zeros = torch.zeros(len(self.walks), len(self.basis), device=self.basis.device)
        return nn.ParameterDict({"params": zeros})

    def models(self) -> dict[str, nn.Module]:
        return {"walks": self.model}

    def parts(self) -> dict[str, Part]:
        return super().parts() if self.steps else {}

    def terms(self, share: int) -> dict[str, Tensor]:
        walks = self.model["params"] @ self.basis
        errors = {name: self.error(i, walks[i], share) for i, name in enumerate(self.walks)}
        return {"edit": torch.stack(list(errors.values())).sum(), **errors}

    def error(self, number: int, walk: Float[Tensor, " dim"], share: int) -> Float[Tensor, ""]:
        """Equation 2 of the paper, relative to no walk: 1 = it does nothing, 0 = all that is wanted."""
        source = torch.Generator().manual_seed(share * len(self.walks) + number)
        amount = 2 * float(torch.rand((), generator=source)) - 1  # one for the batch, from -1 to 1
        seeds = [share * self.batch + i for i in range(self.batch)]
        latents = self.network.sample(seeds, self.truncation)
        with torch.no_grad():
            before = seen(self.network, latents, self.maps, self.pixels)
            wanted, mask = transformed(self.walks[number], before, amount * self.amount)
        after = seen(self.network, latents + amount * self.strength * walk, self.maps, self.pixels)
        nothing = (mask * (before - wanted)).square().sum().clamp(min=1e-12)
        return (mask * (after - wanted)).square().sum() / nothing

    def export(self) -> None:
        """The walks that were learnt, or those in closed form: they take a minute for large generators."""
        if self.steps:
            walks = self.model["params"].detach() @ self.basis
        else:
            source = Source(maps=self.maps, basis=self.components, pixels=self.pixels)
            start = self.network.mean()
            steps = [source.find(self.network, name).step(start) for name in self.walks]
            walks = torch.cat(steps)[:, 0]
        named = zip(self.walks, walks, strict=True)
        write(self.result, {name: Stored(walk[None].cpu()) for name, walk in named})
