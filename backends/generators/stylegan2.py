"""StyleGAN2 (Karras et al., CVPR 2020): any public checkpoint, any size."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportAttributeAccessIssue=false
# pyright: reportReturnType=false

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device
from backends.generators._stylegan import StyleGAN
from backends.networks.stylegan2 import StyleGAN2 as Network
from backends.networks.stylegan2_fast import FastStyleGAN2


@dataclass
class StyleGAN2(StyleGAN):
    """Reads rosinality, e4e, pSp, genforce and NVIDIA files, and our own."""

    @cached_property
    def _network(self) -> Network:
        return Network.load(self._state("generators/stylegan2")).to(device())

    @cached_property
    def _fast(self) -> FastStyleGAN2:
        return FastStyleGAN2(self._network)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        # the skip architecture has a picture at every resolution: the half-size one is there for the taking
        return self._fast(latents, len(self._network.rgbs) - preview)

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        """Of the last row, which only colours read: the last layer's colours."""
        network = self._network
        x = network.constant.expand(len(latents), -1, -1, -1)
        for row, convolution in enumerate(network.convs[: layer + 1]):
            x = convolution(x, latents[:, row])
        return network.rgbs[-1](x, latents[:, -1]) if layer == len(network.convs) else x

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """Row j: the style of convolution j; the last row: that of the last colours, its only reader.

        Other colour layers read the rows too, but SeFa (section 4) leaves them out; rosinality's own
        factorisation takes the first of them in, which changes its directions a little.
        """
        network = self._network
        return [*(conv.style.weight for conv in network.convs), network.rgbs[-1].style.weight]
