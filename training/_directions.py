"""What the trainers of directions share, and those of them that learn by gradient descent."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backends import Latents
from backends.generators import Generator
from directions._derivatives import SAMPLES
from directions._statistics import principal
from training import Part
from training._generator import GeneratorTrainer

FeatureMaps = Float[Tensor, "n channels side side"]


@dataclass(kw_only=True)
class DescentTrainer(GeneratorTrainer):
    """Adam on terms that compare pictures, or feature maps, before and after a move of the latents."""

    components: int = 64  # principal components of W that directions are made of
    truncation: float = 0.7
    batch: int = 16  # latents a step, of each process
    steps: int = 5000
    rate: float = 1e-3
    decay: float = 0.0  # of the weights

    @abstractmethod
    def models(self) -> dict[str, nn.Module]:
        """The networks that learn, by name."""

    @abstractmethod
    def terms(self, share: int) -> dict[str, Tensor]:
        """Loss terms, and other figures for the log. The same `share` always draws the same numbers."""

    @cached_property
    def optimizer(self) -> torch.optim.Optimizer:
        parameters = [p for model in self.models().values() for p in model.parameters()]
        return torch.optim.Adam(parameters, self.rate, weight_decay=self.decay)

    def parts(self) -> dict[str, Part]:
        return {**self.models(), "optimizer": self.optimizer}

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        terms = self.terms(number * accelerator.num_processes + accelerator.process_index)
        self.optimizer.zero_grad()
        torch.stack([weight * terms[name] for name, weight in self.losses.items()]).sum().backward()
        if accelerator.num_processes > 1:
            for parameter in (p for group in self.optimizer.param_groups for p in group["params"]):
                parameter.grad = accelerator.reduce(parameter.grad, "mean")
        self.optimizer.step()
        return {name: value.item() for name, value in terms.items()}


def basis(generator: Generator, layers: Sequence[int], count: int) -> Float[Tensor, "k dim"]:
    """Rows: the first `count` principal components of W, each one standard deviation long."""
    variances, vectors = principal(generator, tuple(layers), SAMPLES)
    return (variances.sqrt()[:, None] * vectors)[:count]


def seen(generator: Generator, latents: Latents, layer: int, pixels: int) -> FeatureMaps:
    """What is compared: the feature maps after W+ layer `layer`; if it is -1, pictures of `pixels` a side."""
    if layer >= 0:
        return generator.activations(latents, layer)
    return functional.interpolate(generator.synthesize(latents), size=(pixels, pixels), mode="area")
