"""How a generator's own latents are spread: what makes one unit of strength mean the same on every slider."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents, device
from backends.generators import Generator
from directions._cache import remembered

SAMPLES = 2048  # the standard deviation along any direction is then known to about 2 %
BATCH = 512  # of the mapping network: every sample is repeated on all layers


@dataclass(frozen=True)
class Statistics:
    """Mean and covariance of W, of each distinct layer: of one, if the mapping gives all the same vector."""

    mean: Float[Tensor, "distinct dim"]
    covariance: Float[Tensor, "distinct dim dim"]

    def spread(self, vector: Float[Tensor, "layers dim"]) -> float:
        """Standard deviation of the latents along `vector`, in units of latent length per layer.

        Layers of zeros do not count; over the others it is the root mean square, weighted by squared length,
        so that a vector which is the same on all its layers has the standard deviation of W along it.
        """
        vector = vector.to(self.covariance)
        covariance = self.covariance.expand(len(vector), -1, -1)
        variance = torch.einsum("ld,lde,le->", vector, covariance, vector)
        return float((variance.clamp(min=0) / vector.square().sum().clamp(min=1e-30)).sqrt())


@remembered
@torch.no_grad()
def statistics(generator: Generator, samples: int = SAMPLES) -> Statistics:
    """Statistics of mapped latents without truncation, from a fixed seed."""
    source = torch.Generator().manual_seed(0)
    z = torch.randn(samples, generator.z_dim, generator=source).to(device())
    batches = [_distinct(generator.mapping(part)) for part in z.split(BATCH)]
    latents = torch.cat(batches).transpose(0, 1)  # (distinct, samples, dim)
    mean = latents.mean(1)
    centred = latents - mean[:, None]
    return Statistics(mean, centred.mT @ centred / (samples - 1))


def _distinct(latents: Latents) -> Float[Tensor, "n distinct dim"]:
    """One layer if all are the same: thousands of latents on all layers would fill the memory."""
    same = torch.equal(latents, latents[:, :1].expand_as(latents))
    return latents[:, :1].clone() if same else latents


def spread(generator: Generator, vector: Float[Tensor, "layers dim"]) -> float:
    """Standard deviation of the generator's latents along `vector` (see `Statistics.spread`)."""
    return statistics(generator).spread(vector)


def note(length: float, *others: str) -> str:
    """What the page says of a direction: `others`, and the length of one unit of strength."""
    return ", ".join(filter(None, (*others, f"1 = {length:.2f} in latent units")))


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
