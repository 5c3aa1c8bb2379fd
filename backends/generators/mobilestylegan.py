"""MobileStyleGAN (Belousov, 2021): 1024-pixel faces distilled from StyleGAN2 FFHQ, on its W space."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device, weights
from backends.generators._network import PublishedGenerator
from backends.networks.mobilestylegan import MobileStyleGAN as Network
from backends.networks.mobilestylegan import Synthesis, channels_of
from backends.networks.mobilestylegan_fast import FastSynthesis


@dataclass
class MobileStyleGAN(PublishedGenerator):
    """Runs on a processor: 8 million weights, 7 billion multiplications a picture."""

    weights: str = "mobilestylegan_ffhq"  # entry of backends/weights.yaml
    size: int = 1024
    layers: int = 23
    dim: int = 512

    @property
    def cut_layer(self) -> int:
        """Where maps have an eighth of the side: about an eighth of a picture's time, there and back."""
        return 3 * int(math.log2(self.size / 32))

    @cached_property
    def _network(self) -> Network:
        state = weights.state(self.weights)
        network = Network(channels_of(state, "synthesis."), self.dim)
        network.load_state_dict(state)
        return network.requires_grad_(False).eval().to(device())

    @property
    def _plain(self) -> Synthesis:
        return self._network.synthesis

    @cached_property
    def _fast(self) -> FastSynthesis:
        return FastSynthesis(self._network.synthesis)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        """Pictures, or half-size previews; stages whose layers did not change are not computed again.

        A preview pixel is the mean of four. It saves little time here, because the last convolutions work at
        512 pixels either way, but leaves a quarter of the pixels to encode and to send.
        """
        return self._fast(latents, preview)

    def read(
        self, latents: Latents, layer: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "n outputs side side"]:
        if torch.is_grad_enabled():
            return super().read(latents, layer, matrix)
        self._check_layer(layer)
        return self._fast.read(latents, layer, matrix)
