"""What the StyleGAN plugins share: weights from anywhere, loaded on first use; sizes come from the file."""

from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device, weights
from backends.generators import Generator


@dataclass
class StyleGAN(Generator):
    """Subclasses say which network reads the weights."""

    weights: str = ""  # an entry of backends/weights.yaml, or the path of a checkpoint in any public layout
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [] if weights.own(self.weights) else [self.weights]

    @property
    @abstractmethod
    def _network(self) -> Any:
        """The network, loaded once."""

    def _state(self, plugin: str) -> dict[str, Tensor]:
        """Raises CheckpointError or WeightsError."""
        return weights.state(self.weights, plugin)

    @property
    def size(self) -> int:
        return self._network.size

    @property
    def layers(self) -> int:
        return self._network.layers

    @property
    def dim(self) -> int:
        return self._network.dim

    @property
    def z_dim(self) -> int:
        return self._network.mapping[0].in_features

    @cached_property
    def fingerprint(self) -> str:
        return weights.fingerprint(self.weights)

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        return self._network.rows(z.to(device()))

    def synthesize(self, latents: Latents) -> Images:
        return self._network(latents)

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return self._network.mean.expand(self.layers, -1)[None].clone()
