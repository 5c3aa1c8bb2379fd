"""The eigenpictures of a generator in closed form: the linear encoder, inverted."""

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.networks.compact_stylegan import LAID, CompactStyleGAN
from backends.networks.eigenpictures import Eigenpictures, enlarged
from backends.networks.linear_encoder import LinearEncoder
from training._transfer import affine, fit_head, haar

SAMPLES = 8192  # of W, to which the amounts are fitted
RIDGE = 1e-4  # of the mean variance of w
SHARE = 0.5  # std of what is added to the feature maps, as a share of theirs
logger = logging.getLogger(__name__)


def decoder(encoder: LinearEncoder) -> tuple[Float[Tensor, "kept pixels"], Float[Tensor, " kept"]]:
    """Orthonormal eigenpictures, and how much of each a unit of z adds to the mean picture.

    This is the mean of photographs given z in probabilistic PCA (Tipping & Bishop, 1999): a component of
    variance v, where z has the standard deviation s given the photograph, adds (v (1 - s^2))^(1/2).
    """
    kept = int((encoder.deviation < 1).sum())
    rows, explained = encoder.basis[:kept], 1 - encoder.deviation[:kept].square()
    scales = rows.norm(dim=1)  # (explained / v)^(1/2), see _pca_encoder.fit
    return rows / scales[:, None], explained / scales


@torch.no_grad()
def fit(network: CompactStyleGAN, encoder: LinearEncoder, photographs: Images) -> None:
    """Set the eigenpictures so that z draws what the encoder read, the output layer so that it adds the rest.

    `photographs` are examples for the output layer, some dozens.
    """
    eigenpictures = network.eigenpictures
    assert eigenpictures is not None
    assert network.injection is not None
    _set_amounts(eigenpictures, network, encoder)
    source = torch.Generator().manual_seed(0)
    z = encoder.draw(photographs, source)
    w = network.mapping(z)
    latents = w[:, None].repeat(1, network.layers, 1)
    picture = eigenpictures(w)
    network.injection.weight.zero_()
    network.injection.bias.zero_()  # type: ignore[union-attr]
    spread = network.cut(latents, 3 * LAID).maps.std()
    weight = torch.randn(network.injection.weight.shape, generator=source)
    network.injection.weight.copy_(weight * SHARE * spread / (picture.std() * weight[0].numel() ** 0.5))
    rest = photographs - enlarged(picture, network.size)
    fit_head(network.head, network.cut(latents, network.layers - 2).maps, w, haar(rest))
    network.measure_mean()
    left = (network(z) - photographs).square().mean()
    logger.info("eigenpictures: squared error %.3f, with the output layer %.3f", rest.square().mean(), left)


def _set_amounts(eigenpictures: Eigenpictures, network: CompactStyleGAN, encoder: LinearEncoder) -> None:
    """Least squares: samples of w -> the amounts of each eigenpicture that their z asks for."""
    pictures, sizes = decoder(encoder)
    count = min(len(sizes), len(eigenpictures.pictures))
    z = torch.randn(SAMPLES, network.mean.shape[0], generator=torch.Generator().manual_seed(1))
    w = network.mapping(z)
    ridge = RIDGE * float(w.var(0).mean()) * len(w)
    weight, bias, error = affine(w, z[:, :count] * sizes[:count], ridge)
    logger.info("%d eigenpictures, %.2f %% of their variance left", count, 100 * error)
    for target, value in (
        (eigenpictures.modulation.weight, weight),
        (eigenpictures.modulation.bias, bias),
        (eigenpictures.pictures, pictures),
    ):
        target.zero_()
        target[:count] = value[:count]
    eigenpictures.middle.copy_(encoder.middle)
