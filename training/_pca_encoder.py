"""The encoder of training: photographs -> normal vectors z, so that each has a picture of its own.

An adversarial loss alone is content with one cat. A generator that has to draw each photograph again from
its own z is not (VAE/GAN, Larsen et al., ICML 2016). The encoder is the linear variational autoencoder, which
has a closed form: principal components with noise (Tipping & Bishop, 1999; Lucas et al., NeurIPS 2019).
Nothing has to be learnt, and over all photographs z has mean 0 and variance 1, as samples have.
"""

import logging
from collections.abc import Iterable

import torch
from torch import Tensor

from backends import Images
from backends.networks.linear_encoder import MOST, SIDE, LinearEncoder, small

logger = logging.getLogger(__name__)


@torch.no_grad()
def fit(encoder: LinearEncoder, photographs: Iterable[Images], nats: float) -> None:
    """Sets the components from batches of all photographs; `nats` is what z may tell of one, on average.

    A component of variance v is told with the error min(v, e), the same e for all of them (reverse
    water-filling): deviation sqrt(e / v) of z, log(v / e) / 2 nats.
    """
    rows = torch.cat([small(batch) for batch in photographs])
    rows = torch.cat([rows, rows.unflatten(1, (3, SIDE, SIDE)).flip(3).flatten(1)])  # mirrored as well
    encoder.middle.copy_(rows.mean(0))
    rows = rows - encoder.middle
    with torch.random.fork_rng():  # the decomposition is randomised: same photographs, same components
        torch.manual_seed(0)
        _, sizes, vectors = torch.pca_lowrank(rows, min(MOST, *rows.shape), center=False, niter=4)
    variances = sizes.square() / len(rows)
    error = _level(variances, nats)
    told = variances > error
    deviations = (error / variances[told]).sqrt()
    encoder.deviation.fill_(1)
    encoder.deviation[: len(deviations)] = deviations
    scales = ((1 - deviations.square()) / variances[told]).sqrt()
    encoder.basis.zero_()
    encoder.basis[: len(deviations)] = (vectors[:, told] * scales).T
    logger.info("%d components tell %.0f nats of a photograph", len(deviations), nats)


def _level(variances: Tensor, nats: float) -> float:
    """The error at which components of these variances tell `nats` together; by bisection."""
    low, high = 1e-9 * float(variances[0]), float(variances[0])
    for _ in range(60):
        middle = (low * high) ** 0.5
        told = 0.5 * (variances / middle).clamp(min=1).log().sum()
        low, high = (middle, high) if told > nats else (low, middle)
    return high
