"""Pivotal tuning (PTI: Roich et al., ACM TOG 2022): a latent that can be edited, then a generator to fit it.

The latent of another inverter is the pivot. A copy of the generator is tuned until the pivot's picture is the
photograph, and kept as it was elsewhere by the locality regulariser.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, losses
from backends.decoders.tuned import Tuned
from backends.generators import Generator
from backends.inverters import Inversion, Inverter, begun, check_least
from backends.malloc import kept_heap
from plugins import build

WEIGHTS = {"pixel": 1.0, "perceptual": 1.0}


@dataclass
class Pivotal(Inverter):
    """Defaults are the paper's, with our perceptual term in place of LPIPS."""

    start: Any = field(default_factory=lambda: {"name": "optimize"})  # the inverter that finds the pivot
    steps: int = 60  # updates of the weights
    every: int = 10  # steps between intermediate results
    learning_rate: float = 3e-4
    losses: dict[str, float] = field(default_factory=WEIGHTS.copy)  # terms of backends/losses.py
    locality: float = 0.1  # weight of the locality regulariser, see `_neighbours`; 0 = without, half the time
    radius: float = 30.0  # distance from the pivot at which pictures shall stay, over all layers (alpha)
    resolution: int = 256  # side at which pictures are compared, pixels
    seed: int = 0  # of the latents that the locality regulariser looks at

    def __post_init__(self) -> None:
        check_least(1, self, "steps", "every", "resolution")
        check_least(0, self, "locality")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, it is {self.learning_rate}")
        losses.check(self.losses)
        self._first = build(Inverter, self.start, "start")

    def required(self) -> list[str]:
        return [*self._first.required(), *losses.required(self.losses)]

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        steps = steps or self.steps
        first = yield from begun(self._first, images, generator, steps)
        yield first
        pivot, tuned = first.latents.detach(), generator.tunable()
        optimizer = torch.optim.Adam(tuned.parameters().values(), self.learning_rate)
        objective = losses.Objective(self.losses, losses.resize(images, self.resolution))
        with kept_heap():
            for step in range(1, steps + 1):
                with torch.enable_grad():
                    terms = objective.terms(tuned.synthesize(pivot))
                    loss = objective.total(terms).sum()
                    if self.locality:
                        loss = loss + self.locality * self._locality(generator, tuned, pivot, step)
                    optimizer.zero_grad()
                    loss.backward()
                optimizer.step()
                if step % self.every == 0 or step == steps:
                    means = {name: float(term.mean().detach()) for name, term in terms.items()}
                    decoder = Tuned.of(generator, tuned)
                    yield Inversion(pivot, decoder, first.step + step, first.step + steps, means)

    def _locality(
        self, generator: Generator, tuned: Generator, pivot: Latents, step: int
    ) -> Float[Tensor, ""]:
        """How much pictures near the pivot have changed (section 3.3)."""
        latents = self._neighbours(generator, pivot, step)
        with torch.no_grad():
            before = losses.resize(generator.render(latents), self.resolution)
        objective = losses.Objective(self.losses, before)
        return objective.total(objective.terms(tuned.synthesize(latents))).sum()

    def _neighbours(self, generator: Generator, pivot: Latents, step: int) -> Latents:
        """Latents at `radius` from the pivot, or nearer, towards samples of W (equation 4)."""
        seeds = [(self.seed + step) * 1000 + i for i in range(len(pivot))]
        away = generator.sample(seeds, 1.0) - pivot
        length = away.flatten(1).norm(dim=1)[:, None, None]
        return pivot + away * (self.radius / length).clamp(max=1)
