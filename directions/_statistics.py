"""How a generator's own latents are spread: what makes one unit of strength mean the same on every slider."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents, device
from backends.generators import Generator

Result = TypeVar("Result")
SAMPLES = 2048  # the standard deviation along any direction is then known to about 2 %
BATCH = 512  # of the mapping network: every sample is repeated on all layers
_kept: list[dict[int, Any]] = []  # of every remembered function


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Keeps the results of `function(generator, *hashable)` while that very generator object lives.

    Generators are mutable dataclasses, hence not hashable, and `lru_cache` would keep their weights alive.
    """
    kept: dict[int, dict[tuple[Any, ...], Result]] = {}
    _kept.append(kept)

    @wraps(function)
    def wrapper(generator: Generator, *arguments: Any) -> Result:
        if id(generator) not in kept:
            kept[id(generator)] = {}
            weakref.finalize(generator, kept.pop, id(generator), None)
        results = kept[id(generator)]
        if arguments not in results:
            results[arguments] = function(generator, *arguments)
        return results[arguments]

    return wrapper


def forget() -> None:
    """Drops all remembered results, for measurements."""
    for kept in _kept:
        kept.clear()


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of W. `rows` is 1 when the mapping gives every layer the same vector, as usual."""

    mean: Float[Tensor, "rows dim"]
    covariance: Float[Tensor, "rows dim dim"]

    def spread(self, vector: Float[Tensor, "layers dim"]) -> float:
        """Standard deviation of the latents along the move `vector`, in units of latent length per row.

        Rows of zeros do not count; over the others it is the root mean square, weighted by squared length, so
        that a move which is the same on all its rows has the standard deviation of W along that vector.
        """
        rows = vector.to(self.covariance)
        variance = torch.einsum("ld,lde,le->", rows, self.covariance.expand(len(rows), -1, -1), rows)
        return float((variance.clamp(min=0) / rows.square().sum().clamp(min=1e-30)).sqrt())


@remembered
@torch.no_grad()
def statistics(generator: Generator, samples: int = SAMPLES) -> Statistics:
    """Statistics of mapped latents without truncation, from a fixed seed."""
    source = torch.Generator().manual_seed(0)
    z = torch.randn(samples, generator.z_dim, generator=source).to(device())
    batches = [_distinct(generator.mapping(part)) for part in z.split(BATCH)]
    latents = torch.cat(batches).transpose(0, 1)  # (rows, samples, dim)
    mean = latents.mean(1)
    centred = latents - mean[:, None]
    return Statistics(mean, centred.mT @ centred / (samples - 1))


def _distinct(latents: Latents) -> Float[Tensor, "n rows dim"]:
    """One row if all are the same: thousands of latents on all layers would fill the memory."""
    same = torch.equal(latents, latents[:, :1].expand_as(latents))
    return latents[:, :1].clone() if same else latents


def spread(generator: Generator, vector: Float[Tensor, "layers dim"]) -> float:
    """Standard deviation of the generator's latents along `vector` (see `Statistics.spread`)."""
    return statistics(generator).spread(vector)


@remembered
def principal(
    generator: Generator, layers: tuple[int, ...], samples: int
) -> tuple[Float[Tensor, " dim"], Float[Tensor, "dim dim"]]:
    """Principal components of W: variances, descending, and unit vectors.

    Where layers have latents of their own, those of `layers`, on the average.
    """
    covariance = statistics(generator, samples).covariance.double()
    covariance = covariance[list(layers)] if len(covariance) > 1 else covariance
    variances, columns = torch.linalg.eigh(covariance.mean(0))
    return variances.flip(0).clamp(min=0).float(), signed(columns.T.flip(0)).float()


@remembered
@torch.no_grad()
def mapped(generator: Generator, normal: tuple[float, ...]) -> Float[Tensor, "layers dim"]:
    """Mean change of the latents when z moves by one standard deviation along `normal`, a vector of Z.

    The mapping is not linear, so what an edit in Z does depends on z; this is the mean over samples.
    """
    source = torch.Generator().manual_seed(0)
    z = torch.randn(BATCH, generator.z_dim, generator=source).to(device())
    step = torch.tensor(normal).to(z)
    step = step / step.norm()
    return (generator.mapping(z + step) - generator.mapping(z - step)).mean(0) / 2


def signed(vectors: Float[Tensor, "k dim"]) -> Float[Tensor, "k dim"]:
    """Eigenvectors have no sign of their own: here the largest entry of each becomes positive."""
    largest = vectors.gather(1, vectors.abs().argmax(1, keepdim=True))
    return vectors * torch.where(largest < 0, -1, 1)
