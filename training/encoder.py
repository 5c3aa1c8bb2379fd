"""The encoder of training: photographs -> normal vectors z, so that each has a picture of its own.

An adversarial loss alone is content with one cat. A variational autoencoder is not: it has to draw each
photograph again (VAE/GAN, Larsen et al., ICML 2016). What a photograph may tell about itself is held at a
given number of nats (ControlVAE, Shao et al., ICML 2020), so that z stays near the normal distribution that
samples are drawn from.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportCallIssue=false
# pyright: reportAttributeAccessIssue=false

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images
from training.losses import thumbnails

SIDES = (6, 3)  # the two coarsest feature maps are reduced to these sides, places
SCALE = 0.05  # of the inputs
WIDTH = 512  # of the hidden layers
QUIET = -2.0  # logarithm of the deviation at first: noise of deviation 1 would drown what is to be learnt
GAIN = 0.02  # of the control: how fast the weight of a nat follows

Latent = Float[Tensor, "n dim"]


class Encoder(nn.Module):
    """Feature maps and a thumbnail -> mean and logarithm of the deviation of z."""

    def __init__(self, maps: list[Tensor], dim: int) -> None:
        """`maps` are those of any photographs: their shapes count."""
        super().__init__()
        inputs = self.inputs(maps, torch.zeros(len(maps[0]), 3, 16, 16)).shape[1]
        first, last = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, 2 * dim)
        with torch.no_grad():  # so many inputs add up: their weights must be large next to a learning rate
            first.weight.div_(SCALE)
        nn.init.normal_(last.weight, std=WIDTH**-0.5)
        nn.init.zeros_(last.bias[:dim])
        nn.init.constant_(last.bias[dim:], QUIET)
        middle = nn.Linear(WIDTH, WIDTH)
        self.layers = nn.Sequential(first, nn.LeakyReLU(0.2), middle, nn.LeakyReLU(0.2), last)
        self.register_buffer("price", torch.tensor(1e-4))  # weight of a nat

    def forward(self, maps: list[Tensor], photographs: Images) -> tuple[Latent, Latent]:
        mean, deviation = self.layers(self.inputs(maps, photographs)).chunk(2, 1)
        return mean, deviation.clamp(-6, 2)

    @staticmethod
    def inputs(maps: list[Tensor], photographs: Images) -> Float[Tensor, "n inputs"]:
        """What the layers read: where things are, roughly, and the colours."""
        pairs = zip(maps[-len(SIDES) :], SIDES[-len(maps) :], strict=True)
        parts = [F.adaptive_avg_pool2d(m, min(side, m.shape[2])).flatten(1) for m, side in pairs]
        return SCALE * torch.cat([*parts, thumbnails(photographs).flatten(1)], 1)

    @torch.no_grad()
    def control(self, nats: Tensor, wanted: float) -> None:
        """Makes a nat dearer when the photographs told more than `wanted`, cheaper otherwise."""
        self.price.mul_((GAIN * (nats / wanted - 1).clamp(-1, 1)).exp()).clamp_(1e-6, 1.0)


def information(mean: Latent, deviation: Latent) -> Float[Tensor, ""]:
    """Divergence of the encoded z from the normal distribution, nats a picture; `deviation` in logarithms."""
    return 0.5 * (mean.square() + (2 * deviation).exp() - 1 - 2 * deviation).sum(1).mean()
