"""StyleGAN1 (Karras, Laine & Aila, CVPR 2019) and IDInvert's variant (Zhu et al., ECCV 2020)."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportAttributeAccessIssue=false
# pyright: reportReturnType=false

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from backends import Latents, device
from backends.generators._stylegan import StyleGAN
from backends.networks.stylegan1 import StyleGAN1 as Network


@dataclass
class StyleGAN1(StyleGAN):
    """Reads genforce, InterFaceGAN and IDInvert files, and our own; the variant is told from the file."""

    @cached_property
    def _network(self) -> Network:
        return Network.load(self._state("generators/stylegan1")).to(device())

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        x = self._network.constant.expand(len(latents), -1, -1, -1)
        for row in range(layer + 1):
            x = self._network.convs[row](x, latents[:, row])
        return x

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """Row j: the style of layer j, factors first, then offsets."""
        return [layer.style.weight for layer in self._network.convs]
