"""The encoder of training: photographs -> normal vectors z, so that each has a picture of its own.

An adversarial loss alone is content with one cat. A generator that has to reconstruct each photograph from
its own z is not (VAE/GAN, Larsen et al., ICML 2016). The encoder is the linear variational autoencoder, which
has a closed form: probabilistic PCA (Tipping & Bishop, 1999; Lucas et al., NeurIPS 2019). Nothing has to be
learnt, and over all photographs z has mean 0 and variance 1, as samples have.
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
    """Set the components from batches of all photographs; `nats`: mean information of z about a photograph.

    A component of variance v is reconstructed with the error min(v, e), the same e for all of them (reverse
    water-filling): then z has the standard deviation sqrt(e / v) there, given the photograph, and
    log(v / e) / 2 nats.
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
    kept = variances > error
    stds = (error / variances[kept]).sqrt()
    encoder.deviation.fill_(1)
    encoder.deviation[: len(stds)] = stds
    scales = ((1 - stds.square()) / variances[kept]).sqrt()
    encoder.basis.zero_()
    encoder.basis[: len(stds)] = (vectors[:, kept] * scales).T
    logger.info("%d components hold %.0f nats of a photograph", len(stds), nats)


def _level(variances: Tensor, nats: float) -> float:
    """The error at which components of these variances, the largest first, hold `nats` together."""
    counts = torch.arange(1, len(variances) + 1)
    errors = ((variances.double().log().cumsum(0) - 2 * nats) / counts).exp()  # if so many are kept
    return float(errors[(variances > errors).nonzero().max()])
