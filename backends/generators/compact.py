"""CompactStyleGAN: the small generators that `training/` makes (cats, towers, your own photographs)."""

from dataclasses import dataclass
from functools import cached_property

from backends import device, weights
from backends.generators._network import PublishedGenerator
from backends.networks import compact_stylegan
from backends.networks.compact_stylegan import CompactStyleGAN
from config import ConfigError


@dataclass
class Compact(PublishedGenerator):
    """A few million weights, a picture in milliseconds; the widths of the layers are read off the weights."""

    size: int = 128
    dim: int = compact_stylegan.DIM

    def __post_init__(self) -> None:
        self.layers = compact_stylegan.layers_of(self.size)

    @cached_property
    def _network(self) -> CompactStyleGAN:
        """Raises backends.weights.WeightsError, or ConfigError if the weights are for another size."""
        network = compact_stylegan.from_state(weights.state(self.weights))
        if network.size != self.size:
            raise ConfigError(
                f"generator: size: {self.size}: these weights draw {network.size} x {network.size}"
            )
        return network.requires_grad_(False).to(device())
