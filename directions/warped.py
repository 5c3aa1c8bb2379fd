"""WarpedGANSpace: directions that bend with the latent (Tzelepis, Tzimiropoulos and Patras, ICCV 2021)."""

from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from backends import Latents
from backends.generators import Generator
from config import ConfigError, resolve
from directions import Direction, DirectionSource, on_layers, parse_layers
from directions._statistics import spread
from directions._warps import Warps


@dataclass
class Warped(DirectionSource):
    """The warps that `training/shifts.py` learnt with `model: warps`.

    In the paper a path is followed in small steps; here a slider follows the tangent at the latent that is
    edited. Strengths count the standard deviation of W along the direction at the mean latent.
    """

    file: str = ""  # .safetensors of a training run, relative to the project's folder
    limit: float = 3.0  # slider ends, standard deviations of the latents

    def directions(self, generator: Generator) -> list[Direction]:
        known = len(self._warps(generator).support)
        return [self._direction(generator, number) for number in range(1, min(self.count, known) + 1)]

    def find(self, generator: Generator, name: str) -> Direction:
        word, _, number = name.rpartition(" ")
        known = len(self._warps(generator).support)
        if word.lower() != "warp" or not number.isdecimal() or not 1 <= int(number) <= known:
            raise ConfigError(f"no direction is called {name!r}; there are: Warp 1 ... Warp {known}")
        return self._direction(generator, int(number))

    def _warps(self, generator: Generator) -> Warps:
        path = resolve(self.file)
        try:
            warps = _read(path, path.stat().st_mtime_ns)
        except (OSError, SafetensorError, KeyError, RuntimeError) as error:
            raise ConfigError(f"Warped: file: {path.name!r} is no file of warps") from error
        if warps.mean.numel() != generator.dim:
            raise ConfigError(f"{path.name}: its warps are not for latents of {generator.dim} numbers")
        return warps

    def _direction(self, generator: Generator, number: int) -> Direction:
        warps = self._warps(generator)
        chosen = parse_layers(self.layers, generator.layers, generator.size)
        vector = warps.move(generator.mean().mean(1), number - 1)[0]
        vector = vector / vector.norm()
        length = spread(generator, on_layers(vector, chosen, generator.layers))
        step = partial(_step, warps, number - 1, chosen, length)
        note = f"depends on the latent, 1 = {length:.2f} in latent units"
        return Direction(f"Warp {number}", step, -self.limit, self.limit, note)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> Warps:
    return Warps.load(load_file(path))


@torch.no_grad()
def _step(warps: Warps, number: int, chosen: list[int], length: float, latents: Latents) -> Latents:
    """What one unit of strength adds to each chosen layer."""
    added = torch.zeros_like(latents)
    moves = warps.to(latents.device).move(latents[:, chosen].flatten(0, 1), number)
    moves = length * torch.nn.functional.normalize(moves, dim=1)
    added[:, chosen] = moves.view(len(latents), len(chosen), -1)
    return added
