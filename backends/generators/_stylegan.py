"""What the StyleGAN plugins share: weights from anywhere, loaded on first use; sizes come from the file."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from backends import cache, checkpoints, weights
from backends.generators._network import NetworkGenerator

SUFFIXES = (".pt", ".pth", ".pkl", ".bin", ".safetensors", ".ckpt", ".tar")


@dataclass
class StyleGAN(NetworkGenerator):
    """Subclasses say which network reads the weights."""

    weights: str = ""  # an entry of backends/weights.yaml, or the path of a checkpoint in any public format
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [] if self._file else [self.weights]

    @cached_property
    def _file(self) -> Path | None:
        """The user's own checkpoint; None if `weights` is a name of the manifest."""
        file = Path(self.weights).expanduser()
        return file if file.suffix.lower() in SUFFIXES else None

    def _state(self, plugin: str) -> dict[str, Tensor]:
        """Raises CheckpointError or WeightsError."""
        return checkpoints.load(self._file, plugin) if self._file else weights.state(self.weights)

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
        return cache.digest(self._file.absolute()) if self._file else weights.fingerprint(self.weights)
