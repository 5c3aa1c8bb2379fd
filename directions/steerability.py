"""Steerability: zoom, shifts, turns and colours (Jahanian et al., ICLR 2020; Spingarn et al., ICLR 2021)."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from directions import Direction, DirectionSource, _derivatives, on_layers, unknown
from directions._statistics import note, spread
from directions._stored import read
from directions._transforms import NAMES, SPATIAL, transformed

AMOUNT = 0.1  # of a transformation: small, as the answer is linear


@dataclass
class Steerability(DirectionSource):
    """The directions whose effect comes nearest to a given change of the picture, without any training.

    Spingarn et al. solve it for a generator whose first layer is linear in its latent: there the direction
    for a transformation T is the least-squares solution of J v = T x - x, where pixels that T brings in from
    outside do not count. Here x is any picture, or the feature maps after layer `maps`, and J its derivative
    along the first principal components of W, averaged over `seeds`: exact wherever x is linear in w. `ridge`
    favours directions along which latents vary. The note says which share of the wanted change a direction
    makes; where the data are aligned, as faces are, there are hardly any shifts and zooms to be found.

    With `file`, the walks that `training/steerability.py` learns instead (Jahanian et al.).
    """

    file: str = ""  # .safetensors of trained walks
    maps: int = -1  # layer after which feature maps are compared; -1 = pictures
    seeds: list[int] = field(default_factory=list)  # latents of the derivatives; empty: the mean
    basis: int = 64  # principal components that directions are made of
    pixels: int = 64  # side of the pictures
    ridge: float = 0.01  # of the mean square of J's columns
    limit: float = 3.0  # slider ends, standard deviations of the latents

    def directions(self, generator: Generator) -> list[Direction]:
        return [self.find(generator, name) for name in self.known()[: self.count]]

    def known(self) -> list[str]:
        """Names of the transformations: those of the file, or all that pictures or maps can have."""
        if self.file:
            return list(read(self.file))
        return list(SPATIAL if self.maps >= 0 else NAMES)

    def find(self, generator: Generator, name: str) -> Direction:
        if name not in self.known():
            raise unknown(name, self.known())
        chosen, text = self.chosen(generator), ""
        if self.file:
            vector = read(self.file)[name].layered(generator, name).float()[chosen]
        else:
            vector, share = self._solved(generator, tuple(chosen), name)
            text = f"{100 * share:.0f} % of the change"
        vector = on_layers(vector, chosen, generator.layers)
        length = spread(generator, vector)
        vector = length * vector / vector.norm(dim=1).max()
        return Direction.linear(name, vector, -self.limit, self.limit, note(length, text))

    @torch.no_grad()
    def _solved(
        self, generator: Generator, layers: tuple[int, ...], name: str
    ) -> tuple[Float[Tensor, " dim"], float]:
        """The unit vector, and the share of the wanted change that it makes (1 - the rest, squared)."""
        seeds = tuple(self.seeds)
        stds, vectors = _derivatives.basis(generator, layers, self.basis)
        starts = _derivatives.points(generator, seeds)
        if self.maps >= 0:
            before = generator.activations(starts, self.maps)
            J = _derivatives.maps_along(generator, layers, seeds, len(stds), self.maps)
        else:
            before = _derivatives.pictures(generator, starts, self.pixels)
            J = _derivatives.pictures_along(generator, layers, seeds, len(stds), self.pixels)["jacobian"]
        after, mask = transformed(name, before, AMOUNT)
        wanted = (mask * (after - before)).flatten(1).double()  # (points, values)
        columns = (mask * J).flatten(2).double()  # (points, k, values)
        gram = torch.einsum("piv,pjv->ij", columns, columns)
        right = torch.einsum("piv,pv->i", columns, wanted)
        regular = gram + self.ridge * gram.diagonal().mean() * torch.eye(len(stds)).to(gram)
        answer = torch.linalg.solve(regular, right)  # in standard deviations
        share = (2 * answer @ right - answer @ gram @ answer) / wanted.square().sum().clamp(min=1e-30)
        vector = (answer.to(vectors) * stds) @ vectors
        return vector / vector.norm().clamp(min=1e-12), float(share)
