"""The encoder of training: photographs -> normal vectors z, so that each has a picture of its own.

An adversarial loss alone is content with one cat. A generator that has to draw each photograph again from
its own z is not (VAE/GAN, Larsen et al., ICML 2016). The encoder is the linear variational autoencoder, which
has a closed form: principal components with noise (Tipping & Bishop, 1999; Lucas et al., NeurIPS 2019).
Nothing has to be learnt, and over all photographs z has mean 0 and variance 1, as samples have.
"""

import logging

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images

SIDE = 32  # of the pictures whose components are taken, pixels
MOST = 256  # components
logger = logging.getLogger(__name__)

Latent = Float[Tensor, "n dim"]


class Encoder(nn.Module):
    """Components of small pictures; the first entries of z, the others are noise."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("middle", torch.zeros(3 * SIDE**2))
        self.register_buffer("basis", torch.zeros(MOST, 3 * SIDE**2))  # photograph -> mean of z
        self.register_buffer("deviation", torch.ones(dim))  # of z, given the photograph
        self.middle: Tensor
        self.basis: Tensor
        self.deviation: Tensor

    def forward(self, photographs: Images) -> tuple[Latent, Float[Tensor, " dim"]]:
        """Mean and deviation of z."""
        rows = small(photographs) - self.middle
        mean = rows @ self.basis.T
        return F.pad(mean, (0, len(self.deviation) - mean.shape[1])), self.deviation

    @torch.no_grad()
    def fit(self, photographs: Images, nats: float) -> None:
        """Sets the components from all photographs; `nats` is what z may tell of one, on average.

        A component of variance v is told with the error min(v, e), the same e for all of them (reverse
        water-filling): deviation sqrt(e / v) of z, log(v / e) / 2 nats.
        """
        rows = small(photographs)
        rows = torch.cat([rows, small(photographs.flip(3))])
        self.middle.copy_(rows.mean(0))
        source = torch.random.get_rng_state()
        torch.manual_seed(0)  # of the randomised decomposition: the same photographs, the same components
        _, sizes, vectors = torch.pca_lowrank(
            rows - self.middle, min(MOST, *rows.shape), center=False, niter=4
        )
        torch.random.set_rng_state(source)
        variances = sizes.square() / len(rows)
        error = _level(variances, nats)
        told = variances > error
        shares = (error / variances[told]).sqrt()  # deviations
        self.deviation.fill_(1)
        self.deviation[: len(shares)] = shares
        scales = (1 - shares.square()).sqrt() / variances[told].sqrt()
        self.basis.zero_()
        self.basis[: len(shares)] = (vectors[:, told] * scales).T
        logger.info("%d components tell %.0f nats of a photograph", len(shares), nats)


def small(photographs: Images) -> Float[Tensor, "n pixels"]:
    """Box-filtered pictures as rows."""
    return F.adaptive_avg_pool2d(photographs, SIDE).flatten(1)


def _level(variances: Tensor, nats: float) -> float:
    """The error at which components of these variances tell `nats` together; by bisection."""
    low, high = 1e-9 * float(variances[0]), float(variances[0])
    for _ in range(60):
        middle = (low * high) ** 0.5
        told = 0.5 * (variances / middle).clamp(min=1).log().sum()
        low, high = (middle, high) if told > nats else (low, middle)
    return high
