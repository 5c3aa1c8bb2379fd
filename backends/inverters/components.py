"""The encoder that a small generator was trained with: an answer in milliseconds, with the shape right."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch

from backends import Images, device, weights
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.networks import linear_encoder
from backends.networks.linear_encoder import LinearEncoder


@dataclass
class Components(Inverter):
    """Principal components (Tipping & Bishop, 1999) -> z -> W. Details finer than 1/32 are not looked at."""

    weights: str  # entry of backends/weights.yaml, or the encoder.safetensors that training wrote
    draws: int = 64  # of what the photograph does not tell; their mean in W is the answer

    def required(self) -> list[str]:
        return [self.weights]

    @cached_property
    def _encoder(self) -> LinearEncoder:
        return linear_encoder.from_state(weights.state(self.weights)).requires_grad_(False).to(device())

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        numbers = torch.Generator().manual_seed(0)
        with torch.no_grad():
            drawn = generator.mapping(self._encoder.draw(images, numbers, self.draws))
        yield Inversion(drawn.unflatten(0, (self.draws, -1)).mean(0), generator)
