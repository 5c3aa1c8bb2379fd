"""Encoders: a network reads the latent off the picture, once or a few times (e4e, pSp, ReStyle, IDInvert)."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

import backends
from backends import Images, Latents, checkpoints, layer_map, weights
from backends.generators import Generator
from backends.inverters import Inversion, Inverter, check_least
from backends.networks import encoders
from config import ConfigError

SIZE = 256  # side of what every public encoder reads, pixels


@dataclass
class Encoder(Inverter):
    """Which network it is, and whether it starts from the average latent, is told from the weights.

    An encoder that also sees the current reconstruction (ReStyle, section 3) starts from the average picture
    and adds a correction in each of its passes; the others have one pass.
    """

    weights: str = ""  # an entry of backends/weights.yaml, or the path of a checkpoint in any public format
    passes: int = 5  # of an encoder that refines its own result

    def __post_init__(self) -> None:
        check_least(1, self, "passes")

    def required(self) -> list[str]:
        return [] if weights.own(self.weights) else [self.weights]

    @cached_property
    def _parts(self) -> tuple[nn.Module, Float[Tensor, "1 rows dim"] | None]:
        """The network, and the latent that it counts from. Raises ConfigError or WeightsError."""
        try:
            state = weights.state(self.weights, encoders.PLUGIN)
        except checkpoints.CheckpointError as error:
            raise ConfigError(f"the encoder cannot be used: {error}") from error
        average = state.pop("latent_avg", None)
        network = encoders.load(state).to(backends.device())
        return network, None if average is None else average.to(backends.device())

    @torch.no_grad()
    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        network, average = self._parts
        self._check(network, generator)
        pictures = F.adaptive_avg_pool2d(images, SIZE) if images.shape[-1] >= SIZE else _enlarged(images)
        if network.channels == 3:
            latents = network(pictures) if average is None else average + network(pictures)
            yield Inversion(_driving(latents, generator), generator)
            return
        if average is None:
            raise ConfigError("this encoder refines an average latent, which its file does not have")
        latents = average.expand(len(images), -1, -1)
        for step in range(1, self.passes + 1):
            current = F.adaptive_avg_pool2d(generator.render(_driving(latents, generator)), SIZE)
            latents = latents + network(torch.cat([pictures, current], 1))
            yield Inversion(_driving(latents, generator), generator, step, self.passes)

    def _check(self, network: nn.Module, generator: Generator) -> None:
        """Refuses, before any work, an encoder for another generator. Raises ConfigError."""
        known = {1, generator.layers} | {a for a, b in layer_map.LAYER_MAPS if b == generator.layers}
        if network.layers not in known or network.dim != generator.dim:
            raise ConfigError(
                f"the encoder gives {network.layers} layers of {network.dim} numbers; this generator needs "
                f"{' or '.join(map(str, sorted(known)))} layers of {generator.dim}"
            )


def _driving(latents: Float[Tensor, "n _ dim"], generator: Generator) -> Latents:
    adapted = layer_map.adapted(latents, generator.layers)
    assert adapted is not None  # `_check` has seen how many layers there are
    return adapted


def _enlarged(images: Images) -> Float[Tensor, "n 3 256 256"]:
    return F.interpolate(images, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
