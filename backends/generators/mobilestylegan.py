"""MobileStyleGAN (Belousov, 2021): 1024-pixel faces distilled from StyleGAN2 FFHQ, on its W space."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device, weights
from backends.generators import Generator
from backends.networks.mobilestylegan import MobileStyleGAN as Network
from backends.networks.mobilestylegan import activations
from backends.networks.mobilestylegan_fast import FastSynthesis


@dataclass
class MobileStyleGAN(Generator):
    """Runs on a processor: 8 million weights, 7 billion multiplications a picture."""

    weights: str = "mobilestylegan_ffhq"  # entry of backends/weights.yaml
    size: int = 1024
    layers: int = 23
    dim: int = 512
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [self.weights]

    @property
    def fingerprint(self) -> str:
        return weights.fingerprint(self.weights)

    @cached_property
    def _network(self) -> Network:
        network = Network()
        network.load_state_dict(weights.state(self.weights))
        return network.requires_grad_(False).eval().to(device())

    @cached_property
    def _fast(self) -> FastSynthesis:
        return FastSynthesis(self._network.synthesis)

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        return self._network.mapping(z)[:, None].repeat(1, self.layers, 1)

    def synthesize(self, latents: Latents) -> Images:
        return self._network.synthesis(latents)

    def features(self, latents: Latents) -> Float[Tensor, "n channels side side"]:
        """The 128-pixel maps: about an eighth of a picture's time, there and back."""
        return self.activations(latents, 15)

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        return activations(self._network.synthesis, latents, layer)

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        return [modulation.weight for modulation in self._network.synthesis.modulations]

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return self._network.mapping.mean.repeat(1, self.layers, 1)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        """Pictures, or half-size previews; stages of the network whose rows did not change are not repeated.

        A preview pixel is the mean of four. It saves little time here, because the last convolutions work at
        512 pixels either way, but leaves a quarter of the pixels to encode and to send.
        """
        return self._fast(latents, preview)
