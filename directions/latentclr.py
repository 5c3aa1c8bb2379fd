"""LatentCLR: directions found by contrast, some of which depend on the latent (Yüksel et al., ICCV 2021)."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch

from backends import Latents
from backends.generators import Generator
from config import ConfigError
from directions import Direction, DirectionSource, on_layers, parse_layers
from directions._latentclr import Move, read
from directions._statistics import spread


@dataclass
class LatentCLR(DirectionSource):
    """Directions of a `model.pt`; which of the three models of section 3.1 it is, is told from the file.

    A global direction is a vector. Linear and nonlinear ones are functions of w: each row of the latent is
    moved along the vector that the model finds for it, of unit length as in training (`normalize`). Their
    strengths count the standard deviation of W along the vector at the mean latent.
    """

    file: str = ""  # model.pt of LatentCLR, relative to the project's folder
    names: dict[int, str] = field(default_factory=dict)  # number, from 0 as in the authors' tables -> name
    ranges: dict[int, str] = field(default_factory=dict)  # number -> its layers, while `layers` is "all"
    limit: float = 3.0  # slider ends, standard deviations of the latents

    def directions(self, generator: Generator) -> list[Direction]:
        """The named ones first, then the others in the file's order."""
        numbers = [number for number in self.names if number < len(self.moves())]
        numbers += [number for number in range(len(self.moves())) if number not in self.names]
        return [self._direction(generator, number) for number in numbers[: self.count]]

    def find(self, generator: Generator, name: str) -> Direction:
        """Any direction of the file, also beyond `count`. Raises ConfigError."""
        for number in range(len(self.moves())):
            if name.lower() in (self._name(number).lower(), f"latentclr {number}"):
                return self._direction(generator, number)
        raise ConfigError(
            f"no direction is called {name!r}; there are: LatentCLR 0 ... LatentCLR {len(self.moves()) - 1}"
        )

    def moves(self) -> list[Move]:
        """The directions of the file. Raises ConfigError."""
        if not self.file:
            raise ConfigError("LatentCLR needs `file:`, the model.pt of a training run")
        return read(self.file)

    def _name(self, number: int) -> str:
        return self.names.get(number, f"LatentCLR {number}")

    def _direction(self, generator: Generator, number: int) -> Direction:
        move = self.moves()[number]
        if move.dim != generator.dim:
            raise ConfigError(
                f"{Path(self.file).name} is for latents of {move.dim} numbers, these have {generator.dim}"
            )
        everything = self.layers.strip().lower() in ("all", "")
        text = self.ranges.get(number, self.layers) if everything else self.layers
        chosen = parse_layers(text, generator.layers, generator.size)
        vector = move(generator.mean().mean(1))[0]  # (dim,)
        rows = on_layers(vector, chosen, generator.layers)
        length = spread(generator, rows)
        note = f"1 = {length:.2f} in latent units"
        name = self._name(number)
        if move.constant:
            return Direction.linear(name, length * rows, -self.limit, self.limit, note)
        step = partial(_step, move, chosen, length)
        return Direction(name, step, -self.limit, self.limit, f"depends on the latent, {note}")


@torch.no_grad()
def _step(move: Move, chosen: list[int], length: float, latents: Latents) -> Latents:
    """What one unit of strength adds: on each chosen layer, along the vector found for that row."""
    added = torch.zeros_like(latents)
    rows = latents[:, chosen]
    added[:, chosen] = length * move(rows.flatten(0, 1)).view_as(rows)
    return added
