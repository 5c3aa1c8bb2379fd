"""Whitened latent coordinates, in which every direction is equally far to go."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents, device
from backends.generators import Generator

SAMPLES, CHUNK = 8192, 512
FLOOR = 0.01  # smallest standard deviation, relative to the largest: a flat direction must not blow up


@dataclass(frozen=True)
class Space:
    """W, centred and scaled by its principal components: one step size suits all directions, and the squared
    length says how typical a latent is (Mahalanobis).

    As P-norm space (Zhu et al., Improved StyleGAN Embedding, 2020, arXiv:2012.09036, section 3), but the
    mapping's last LeakyReLU is not undone: after that the mean of W, and whatever is truncated towards it,
    would lie far from all samples along the many flat directions.
    """

    mean: Float[Tensor, " dim"]
    basis: Float[Tensor, "dim dim"]  # columns: principal directions, one standard deviation long
    inverse: Float[Tensor, "dim dim"]

    @staticmethod
    @torch.no_grad()
    def of(generator: Generator) -> "Space":
        """The space of a generator, from its mapping alone: no picture is drawn."""
        source = torch.Generator().manual_seed(0)
        chunks = [torch.randn(CHUNK, generator.z_dim, generator=source) for _ in range(SAMPLES // CHUNK)]
        samples = torch.cat([generator.mapping(z.to(device()))[:, 0] for z in chunks])
        values, vectors = torch.linalg.eigh(torch.cov(samples.T))
        deviations = values.clamp(min=0).sqrt()
        deviations = deviations.clamp(min=FLOOR * float(deviations.max()))
        return Space(samples.mean(0), vectors * deviations, (vectors / deviations).T)

    def coordinates(self, latents: Latents) -> Latents:
        return (latents - self.mean) @ self.inverse.T

    def latents(self, coordinates: Latents) -> Latents:
        return coordinates @ self.basis.T + self.mean
