"""StyleGAN1 (Karras, Laine & Aila, CVPR 2019) and IDInvert's variant (Zhu et al., ECCV 2020)."""

from dataclasses import dataclass
from functools import cached_property

from backends import device, weights
from backends.generators._network import StyleGAN
from backends.networks.stylegan1 import StyleGAN1 as Network


@dataclass
class StyleGAN1(StyleGAN):
    """Reads genforce, InterFaceGAN and IDInvert files, and our own; the variant is told from the file."""

    @cached_property
    def _network(self) -> Network:
        return Network.load(weights.state(self.weights, "generators/stylegan1")).to(device())
