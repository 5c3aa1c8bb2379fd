"""CompactStyleGAN: the small generators that `training/` makes (cats, towers, your own photographs)."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device, weights
from backends.generators import Generator
from backends.networks import compact_stylegan
from backends.networks.compact_stylegan import CompactStyleGAN
from config import ConfigError


@dataclass
class Compact(Generator):
    """A few million weights, a picture in milliseconds; the widths of the layers are read off the weights."""

    weights: str  # entry of backends/weights.yaml, or a .safetensors file that training wrote
    size: int = 128
    truncation: float = 0.7
    dim: int = compact_stylegan.DIM

    def __post_init__(self) -> None:
        self.layers = compact_stylegan.layers_of(self.size)

    def required(self) -> list[str]:
        return [self.weights]

    @property
    def fingerprint(self) -> str:
        return weights.fingerprint(self.weights)

    @cached_property
    def _network(self) -> CompactStyleGAN:
        """Raises backends.weights.WeightsError, or ConfigError if the weights are for another size."""
        network = compact_stylegan.from_state(weights.state(self.weights))
        if network.size != self.size:
            raise ConfigError(
                f"generator: size: {self.size}: these weights draw {network.size} x {network.size}"
            )
        return network.requires_grad_(False).to(device())

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        return self._network.mapping(z)[:, None].repeat(1, self.layers, 1)

    def synthesize(self, latents: Latents) -> Images:
        return self._network.synthesize(latents)

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        return self._network.activations(latents, layer)

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        return self._network.affines

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return self._network.mean.repeat(1, self.layers, 1)
