"""Optimisation in W+: the latent whose picture is closest to the photograph (Image2StyleGAN, ICCV 2019)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, losses
from backends.generators import Generator
from backends.inverters import Inversion, Inverter, begun, check_least
from backends.inverters._linear_head import LinearHead
from backends.inverters._space import Space
from backends.malloc import kept_heap
from plugins import build

BETAS = (0.9, 0.99)  # of Adam; a short memory of squares, for short runs


# For FFHQ-aligned faces; elsewhere `identity: 0`. More `delta` is easier to edit and less exact, more `prior`
# closer to the average picture; both are in whitened units.
WEIGHTS = {"perceptual": 1.0, "pixel": 8.0, "identity": 1.0, "delta": 0.1, "prior": 0.05}


@dataclass
class Optimize(Inverter):
    """Adam on whitened latents: one point of W shared by all layers, plus what each layer adds to it.

    Most steps see a `LinearHead` of the picture, where the generator offers one; the last `finish` steps, and
    every judgement of what is best so far, see the picture itself.
    """

    steps: int = 60  # updates of the latent
    finish: int = 6  # of these, the last ones (at most all) through the whole generator
    every: int = 8  # steps between intermediate results; sooner at the start
    learning_rate: float = 0.15  # standard deviations of W per step
    layer_rate: float = 1.0  # the same for what single layers add, relative to learning_rate
    warmup: int = 4  # steps until the full learning rate; then a cosine down to a fifth of it
    losses: dict[str, float] = field(default_factory=WEIGHTS.copy)  # terms of backends/losses.py
    focus: float = 20.0  # how much more the middle of the picture counts than its edge
    resolution: int = 256  # side at which pictures are compared, pixels
    start: Any = "mean"  # "mean", "random", or an inverter, as in {name: encoder, weights: e4e_ffhq}
    seed: int = 0  # of the first image's random start; the next image has the next seed

    def __post_init__(self) -> None:
        check_least(1, self, "steps", "every", "warmup", "resolution")
        check_least(0, self, "finish", "layer_rate", "focus")
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, it is {self.learning_rate}")
        losses.check(self.losses)
        if isinstance(self.start, str) and self.start not in ("mean", "random"):
            raise ValueError(
                f"start must be mean, random or an inverter, as in {{name: encoder}}; it is {self.start!r}"
            )
        self._first = None if isinstance(self.start, str) else build(Inverter, self.start, "start")

    def required(self) -> list[str]:
        return [*(self._first.required() if self._first else []), *losses.required(self.losses)]

    def schedule(self, step: int, steps: int) -> float:
        """Fraction of the learning rate; not too little at the end, when the last layers first move."""
        if step >= steps - self.finish:
            return 0.33
        cosine = 0.6 + 0.4 * math.cos(math.pi * step / max(1, steps - self.finish))
        return cosine * min(1, (step + 1) / self.warmup)

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        steps = steps or self.steps
        before = 0  # steps of the inverter that this one starts from
        if self._first is not None:
            first = yield from begun(self._first, images, generator, steps)
            start, before = first.latents, first.step
        elif self.start == "random":
            start = generator.sample([self.seed + i for i in range(len(images))], 1.0)
        else:
            start = generator.mean().repeat(len(images), 1, 1)
        with kept_heap():
            search = _Search(self, images, generator, start, steps)
            looked = -self.every
            for step in range(steps):
                if step - looked >= min(self.every, 2 + step // 3):  # early steps change most
                    looked = step
                    yield search.look(step, before)
                search.advance(step)
            yield search.look(steps, before)


def adam(
    gradient: Float[Tensor, "*shape"],
    mean: Float[Tensor, "*shape"],
    square: Float[Tensor, "*shape"],
    step: int,
) -> Float[Tensor, "*shape"]:
    """The direction of update `step` = 1, 2, ... (Kingma & Ba, ICLR 2015, algorithm 1); updates both moments.

    Four lines here, because torch.optim would import its compiler: seconds, and 100 MB of memory.
    """
    mean.lerp_(gradient, 1 - BETAS[0])
    square.lerp_(gradient.square(), 1 - BETAS[1])
    deviation = (square / (1 - BETAS[1] ** step)).sqrt()
    return mean / (1 - BETAS[0] ** step) / (deviation + 1e-8)


class _Search:
    """The state of one run: the latents being moved, Adam's memory, and the best so far."""

    def __init__(
        self, settings: Optimize, images: Images, generator: Generator, start: Latents, steps: int
    ) -> None:
        self.settings, self.generator, self.steps = settings, generator, steps
        target = losses.resize(images, settings.resolution)
        self.objective = losses.Objective(settings.losses, target, settings.focus)
        with torch.no_grad():
            self.space = Space.of(generator)
            coordinates = self.space.coordinates(start.detach())
        self.head = LinearHead()
        self.shortcut = generator.cut_layer < generator.layers - 1
        self.base = coordinates.mean(1, keepdim=True).requires_grad_()  # (n, 1, dim)
        self.deltas = (coordinates - self.base.detach()).requires_grad_()  # (n, layers, dim)
        self.memory = [(torch.zeros_like(x), torch.zeros_like(x)) for x in (self.base, self.deltas)]
        self.best = start.detach().clone()
        self.terms: dict[str, losses.PerImage] = {}  # of the best, unweighted
        self.best_loss = torch.full((len(images),), math.inf, device=start.device)

    def advance(self, step: int) -> None:
        """One update. Gradients are taken of the latents only: the generator's parameters never get any."""
        settings = self.settings
        with torch.enable_grad():
            coordinates = self.base + self.deltas
            latents = self.space.latents(coordinates)
            if step >= self.steps - settings.finish or not self.shortcut:
                picture = self.generator.synthesize(latents)
            else:
                picture = self.head.picture(self.generator.activations(latents, self.generator.cut_layer))
            loss = self.objective.total(self.objective.terms(picture, coordinates)).sum()
            gradients = torch.autograd.grad(loss, [self.base, self.deltas])
        rate = settings.learning_rate * settings.schedule(step, self.steps)
        rates = (rate, rate * settings.layer_rate)
        for x, gradient, memory, own in zip(
            (self.base, self.deltas), gradients, self.memory, rates, strict=True
        ):
            x.data -= own * adam(gradient, *memory, step + 1)

    @torch.no_grad()
    def look(self, step: int, before: int = 0) -> Inversion:
        """Draw the picture itself: judge the latents by it, and fit the head to it."""
        coordinates = self.base + self.deltas
        latents = self.space.latents(coordinates)
        picture = self.generator.render(latents)
        terms = self.objective.terms(picture, coordinates)
        loss = self.objective.total(terms)
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best = torch.where(better[:, None, None], latents, self.best)
        self.terms = {
            name: torch.where(better, term, self.terms.get(name, term)) for name, term in terms.items()
        }
        if self.shortcut and step < self.steps - self.settings.finish:
            self.head.fit(self.generator.activations(latents, self.generator.cut_layer), picture)
        means = {name: float(term.mean()) for name, term in self.terms.items()}
        return Inversion(self.best.clone(), self.generator, before + step, before + self.steps, means)
