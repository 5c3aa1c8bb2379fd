"""Principal components of the feature maps inside a generator, and the latents that move along them.

GANSpace, section 2.2 (Härkönen et al., NeurIPS 2020): maps are too long for their covariance, so the analysis
goes batch by batch (Ross et al., 2008). A component of maps has no latent of its own: least squares finds the
one that goes with it.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends.generators import Generator
from directions._cache import on_disk

BATCH = 16  # maps that are computed at once


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
