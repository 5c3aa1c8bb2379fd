"""A tuned generator: the base with changed weights (pivotal tuning, Roich et al., ACM TOG 2022)."""

from dataclasses import dataclass
from functools import cached_property

import torch

from backends import Cut, Images, Latents
from backends.decoders import Decoder, DecoderError
from backends.generators import Generator


@dataclass(eq=False)
class Tuned(Decoder):
    """The delta holds, by parameter name, what is added to the base's weights, as float16."""

    def __post_init__(self) -> None:
        shapes = {name: tensor.shape for name, tensor in self.base.parameters().items()}
        for name, change in self.delta.items():
            if change.shape != shapes.get(name) or not torch.isfinite(change).all():
                raise DecoderError(f"the stored change of {name!r} does not fit this generator's weights")

    @staticmethod
    @torch.no_grad()
    def of(base: Generator, tuned: Generator) -> "Tuned":
        """The decoder that draws what `tuned`, a trained copy of `base`, draws; up to rounding to float16."""
        before = base.parameters()
        changes = {name: (after - before[name]).half() for name, after in tuned.parameters().items()}
        return Tuned(base, {name: change for name, change in changes.items() if change.any()})

    @cached_property
    def _generator(self) -> Generator:
        copy = self.base.tunable()
        with torch.no_grad():
            for name, parameter in copy.parameters().items():
                if name in self.delta:
                    parameter += self.delta[name].to(parameter)
                parameter.requires_grad_(False)
        return copy

    def parameters(self) -> dict[str, torch.Tensor]:
        return self._generator.parameters()

    def tunable(self) -> Generator:
        return self._generator.tunable()

    def synthesize(self, latents: Latents) -> Images:
        return self._generator.synthesize(latents)

    def render(self, latents: Latents, preview: bool = False) -> Images:
        return self._generator.render(latents, preview)

    def cut(self, latents: Latents, layer: int) -> Cut:
        return self._generator.cut(latents, layer)

    def advance(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        return self._generator.advance(cut, latents, layer)

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        return self._generator.resume(cut, latents, preview)
