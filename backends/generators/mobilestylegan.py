"""MobileStyleGAN (Belousov, 2021): 1024-pixel faces distilled from StyleGAN2 FFHQ, on its W space."""

from dataclasses import dataclass
from functools import cached_property

import torch

from backends import Images, Latents, device, weights
from backends.generators._network import NetworkGenerator
from backends.networks.mobilestylegan import MobileStyleGAN as Network
from backends.networks.mobilestylegan import Synthesis
from backends.networks.mobilestylegan_fast import FastSynthesis


@dataclass
class MobileStyleGAN(NetworkGenerator):
    """Runs on a processor: 8 million weights, 7 billion multiplications a picture."""

    weights: str = "mobilestylegan_ffhq"  # entry of backends/weights.yaml
    size: int = 1024
    layers: int = 23
    dim: int = 512
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [self.weights]

    @property
    def cut_layer(self) -> int:
        """Where maps have 128 pixels: about an eighth of a picture's time, there and back."""
        return 15

    @property
    def _published(self) -> str:
        return weights.fingerprint(self.weights)

    @cached_property
    def _network(self) -> Network:
        network = Network()
        network.load_state_dict(weights.state(self.weights))
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
