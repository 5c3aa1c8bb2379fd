"""StyleGAN2 (Karras et al., CVPR 2020): any public checkpoint, any size."""

from dataclasses import dataclass
from functools import cached_property

import torch

from backends import Images, Latents, device, weights
from backends.generators._network import StyleGAN
from backends.networks.stylegan2 import StyleGAN2 as Network
from backends.networks.stylegan2_fast import FastStyleGAN2


@dataclass
class StyleGAN2(StyleGAN):
    """Reads rosinality, e4e, pSp, genforce and NVIDIA files, and our own.

    The skip architecture has a picture at every resolution: previews are the one of half the size. The maps
    of the last layer, which only colours read, are the last resolution's colours.
    """

    @cached_property
    def _network(self) -> Network:
        return Network.load(weights.state(self.weights, "generators/stylegan2")).to(device())

    @cached_property
    def _fast(self) -> FastStyleGAN2:
        return FastStyleGAN2(self._network)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        return self._fast.picture(latents, preview)
