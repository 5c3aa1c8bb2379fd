"""LatentCLR: directions found by contrast, some of which depend on the latent (Yüksel et al., ICCV 2021)."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch

from backends.generators import Generator
from config import ConfigError
from directions._latentclr import VECTOR, move, read
from directions._numbered import Components, Numbered


@dataclass
class LatentCLR(Numbered):
    """Directions of a `model.pt`; which of the three models of section 3.1 it is, is told from the file.

    A global direction is a vector. Linear and nonlinear ones are functions of w: the latent of each layer is
    moved along the vector that the model finds for it, of unit length as in training (`normalize`). Their
    strengths count the standard deviation of W along the vector at the mean latent.
    """

    file: str = ""  # model.pt of LatentCLR, relative to the project's folder
    names: dict[int, str] = field(default_factory=dict)  # number, from 0 as in the authors' tables -> name
    label: ClassVar[str] = "LatentCLR"
    first: ClassVar[int] = 0

    def components(self, generator: Generator) -> Components:
        if not self.file:
            raise ConfigError("LatentCLR needs `file:`, the model.pt of a training run")
        states = read(self.file)
        if (dim := next(iter(states[0].values())).shape[-1]) != generator.dim:
            raise ConfigError(
                f"{Path(self.file).name} is for latents of {dim} numbers, these have {generator.dim}"
            )
        moves = [partial(move, state=state) for state in states]
        mean = generator.mean().mean(1)
        bends = () if VECTOR in states[0] else moves
        return Components(torch.cat([each(mean) for each in moves]), [""] * len(moves), bends)

    def named(self, number: int) -> str:
        return self.names.get(number, super().named(number))

    def order(self, numbers: range) -> list[int]:
        """The named ones first, then the others in the file's order."""
        named = [number for number in self.names if number in numbers]
        return named + [number for number in numbers if number not in self.names]
