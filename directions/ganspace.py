"""GANSpace: principal components of the latents, or of maps inside (Härkönen et al., NeurIPS 2020).

Maps are too long for their covariance, so the analysis goes batch by batch (section 2.2; Ross et al., 2008).
A component of maps has no latent of its own: least squares finds the one that goes with it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends.generators import Generator
from config import ConfigError
from directions import _components
from directions._cache import on_disk
from directions._numbered import Components, Numbered
from directions._statistics import principal, signed

COMPONENTS = 80  # of maps, as in the authors' code
BATCH = 16  # maps that are computed at once


@dataclass
class GANSpace(Numbered):
    """The directions along which W varies most, each on the layers it is best edited on (`ranges`).

    Exact PCA of the mapped samples, where the authors' code needs an incremental one. In the paper strengths
    are standard deviations too, so that its tables of (component, layers, strength) can be used as they are.

    With `maps` it is the feature maps after that layer whose components are taken (the paper's way for other
    GANs than StyleGAN): a component's direction is then the latent that goes with it by least squares. The
    first use computes the maps of 2 * samples latents; the result is kept in the cache folder.
    """

    file: str = ""  # components that others measured (directions/_components.py); "" = measure them here
    samples: int = 10_000  # mapped latents that are analysed; the first ten components then settle
    maps: int = -1  # layer after which feature maps are analysed; -1 = the latents themselves
    label: ClassVar[str] = "GANSpace"

    def components(self, generator: Generator) -> Components:
        if self.file:
            return _components.read(self.file, generator)
        if self.maps >= generator.layers:
            raise ConfigError(f"GANSpace: maps: {self.maps}: layers here are 0-{generator.layers - 1}")
        layers = tuple(self.chosen(generator))
        if self.maps >= 0:
            found = map_components(generator, self.maps, layers, self.samples, COMPONENTS)
            vectors, shares, of = signed(found["vectors"]), found["shares"], "the variance of maps"
        else:
            variances, vectors = principal(generator, layers, self.samples)
            shares, of = variances / variances.sum().clamp(min=1e-30), "the variance"
        return Components(vectors, [f"{share:.2g} % of {of}" for share in (100 * shares).tolist()])


class IncrementalPCA:
    """Principal components of rows that come in batches; exact as long as `count` holds their rank."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.seen = 0
        self.total = 0.0  # sum of squared distances from the mean
        self.mean: Float[Tensor, " length"]
        self.scaled: Float[Tensor, "k length"]  # components times their singular values

    def add(self, rows: Float[Tensor, "n length"]) -> None:
        """Rows and what is known so far, with a row for the shift of the mean, are analysed together."""
        n, mean = len(rows), rows.mean(0)
        centred = rows - mean
        self.total += float(centred.square().sum())
        stack = centred
        if self.seen:
            shift = (self.seen * n / (self.seen + n)) ** 0.5 * (self.mean - mean)
            self.total += float(shift.square().sum())
            stack = torch.cat([self.scaled, centred, shift[None]])
            mean = (self.seen * self.mean + n * mean) / (self.seen + n)
        columns = torch.linalg.eigh((stack @ stack.T).double()).eigenvectors.flip(1)
        self.scaled = columns[:, : self.count].T.to(stack) @ stack
        self.mean, self.seen = mean, self.seen + n

    @property
    def variances(self) -> Float[Tensor, " k"]:
        """Descending."""
        return self.scaled.square().sum(1) / (self.seen - 1)

    @property
    def components(self) -> Float[Tensor, "k length"]:
        return torch.nn.functional.normalize(self.scaled, dim=1)

    @property
    def shares(self) -> Float[Tensor, " k"]:
        """Of all variance."""
        return self.scaled.square().sum(1) / self.total


@on_disk(version=1)
@torch.no_grad()
def map_components(
    generator: Generator, layer: int, layers: Sequence[int], samples: int, count: int
) -> dict[str, Tensor]:
    """`vectors` (k, dim) of unit length, the latents that go with the components, and `shares` (k)."""
    analysis = IncrementalPCA(count)
    size = max(3 * count, 256)
    with tqdm(total=2 * samples, desc="principal components of maps", disable=None) as progress:
        for start in range(0, samples, size):
            seeds = range(start, min(start + size, samples))
            if len(seeds) > 1:
                analysis.add(torch.cat([maps for _, maps in _maps(generator, layer, layers, seeds)]))
            progress.update(len(seeds))
        parts = []
        for latents, maps in _maps(generator, layer, layers, range(samples, 2 * samples)):
            parts.append((latents, (maps - analysis.mean) @ analysis.components.T))
            progress.update(len(latents))
    latents, coordinates = (torch.cat(part) for part in zip(*parts, strict=True))
    vectors = regression(coordinates / analysis.variances.clamp(min=1e-30).sqrt(), latents)
    return {"vectors": vectors, "shares": analysis.shares}


def regression(coordinates: Float[Tensor, "n k"], latents: Float[Tensor, "n dim"]) -> Float[Tensor, "k dim"]:
    """The unit vectors whose sum, weighted by coordinates, comes nearest to the latents."""
    a, b = (part.double() - part.double().mean(0) for part in (coordinates, latents))
    return torch.nn.functional.normalize(torch.linalg.lstsq(a, b).solution, dim=1).to(latents)


def _maps(
    generator: Generator, layer: int, layers: Sequence[int], seeds: range
) -> Iterator[tuple[Float[Tensor, "n dim"], Float[Tensor, "n length"]]]:
    """Latents, averaged over `layers`, and flattened maps of seeds, in batches."""
    for start in range(0, len(seeds), BATCH):
        # other samples than those whose pictures are looked at
        z = generator.noise([seed + 2**31 for seed in seeds[start : start + BATCH]])
        latents = generator.mapping(z)
        yield latents[:, list(layers)].mean(1), generator.activations(latents, layer).flatten(1)
