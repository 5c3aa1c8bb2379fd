"""What the StyleGAN plugins share: weights from anywhere, loaded on first use; sizes come from the file."""

from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from backends import weights
from backends.generators._network import NetworkGenerator


@dataclass
class StyleGAN(NetworkGenerator):
    """Subclasses say which network reads the weights."""

    weights: str = ""  # an entry of backends/weights.yaml, or the path of a checkpoint in any public format
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [] if weights.own(self.weights) else [self.weights]

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
    def _published(self) -> str:
        return weights.fingerprint(self.weights)
