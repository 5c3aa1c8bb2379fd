"""Optimisation in W+: the latent whose picture is closest to the photograph (Image2StyleGAN, ICCV 2019)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, losses
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.inverters._space import Space
from backends.inverters._surrogate import Surrogate
from backends.malloc import kept_heap

BETAS = (0.9, 0.99)  # of Adam; a short memory of squares, for short runs

Terms = dict[str, Float[Tensor, " n"]]


@dataclass
class Optimize(Inverter):
    """Adam on whitened latents: one point of W shared by all rows, plus what each row adds to it.

    Most steps see a `Surrogate` of the picture, where the generator offers one; the last `finish` steps, and
    every judgement of what is best so far, see the picture itself.
    """

    steps: int = 60  # updates of the latent
    finish: int = 6  # of these, the last ones (at most all) through the whole generator
    every: int = 8  # steps between intermediate results; sooner at the start
    learning_rate: float = 0.15  # standard deviations of W per step
    row_rate: float = 1.0  # the same for what single rows add, relative to learning_rate
    warmup: int = 4  # steps until the full learning rate; then a cosine down to a fifth of it
    perceptual: float = 1.0  # weights of the terms: see backends/losses.py
    pixel: float = 8.0
    identity: float = 1.0  # 0 where pictures are not FFHQ-aligned faces
    closeness: float = 0.1  # to W, in whitened units; more: easier to edit, less exact
    typicality: float = 0.05  # more: closer to the average picture
    focus: float = 20.0  # how much more the middle of the picture counts than its edge
    resolution: int = 256  # side at which pictures are compared, pixels
    start: Literal["mean", "random"] = "mean"  # unless `invert` is given a latent to start from
    seed: int = 0  # of the first image's random start; the next image has the next seed

    def __post_init__(self) -> None:
        for name in ("steps", "every", "warmup", "resolution"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, it is {getattr(self, name)}")
        if self.finish < 0:
            raise ValueError(f"finish must be at least 0, it is {self.finish}")
        if self.learning_rate <= 0 or self.row_rate < 0:
            raise ValueError("learning_rate must be above 0, row_rate at least 0")
        if self.focus < 0:
            raise ValueError(f"focus must be at least 0, it is {self.focus}")
        if negative := [name for name in self.weights if self.weights[name] < 0]:
            raise ValueError(f"the weight {negative[0]} must be at least 0")
        if not any(self.weights[name] for name in ("perceptual", "pixel", "identity")):
            raise ValueError("one of perceptual, pixel and identity must be above 0")

    @property
    def weights(self) -> dict[str, float]:
        """Weight of each term by name."""
        return {
            "perceptual": self.perceptual,
            "pixel": self.pixel,
            "identity": self.identity,
            "closeness": self.closeness,
            "typicality": self.typicality,
        }

    def required(self) -> list[str]:
        networks = {"efficientnet_lite0": self.perceptual, "face_identity": self.identity}
        return [name for name, weight in networks.items() if weight]

    def schedule(self, step: int) -> float:
        """Fraction of the learning rate; not too little at the end, when the last layers' rows first move."""
        if step >= self.steps - self.finish:
            return 0.33
        cosine = 0.6 + 0.4 * math.cos(math.pi * step / max(1, self.steps - self.finish))
        return cosine * min(1, (step + 1) / self.warmup)

    def invert(
        self, images: Images, generator: Generator, start: Latents | None = None
    ) -> Iterator[Inversion]:
        if start is None:
            seeds = [self.seed + i for i in range(len(images))]
            mean = generator.mean().repeat(len(images), 1, 1)
            start = generator.sample(seeds, 1.0) if self.start == "random" else mean
        with kept_heap():
            search = _Search(self, images, generator, start)
            looked = -self.every
            for step in range(self.steps):
                if step - looked >= min(self.every, 2 + step // 3):  # early steps change most
                    looked = step
                    yield search.look(step)
                search.advance(step)
            yield search.look(self.steps)


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

    def __init__(self, settings: Optimize, images: Images, generator: Generator, start: Latents) -> None:
        self.settings, self.generator = settings, generator
        self.target = losses.resize(images, settings.resolution)
        self.window = losses.window(settings.resolution, settings.focus, images.device)
        with torch.no_grad():
            self.features = losses.perceptual_features(self.target) if settings.perceptual else []
            self.descriptors = losses.descriptors(self.target) if settings.identity else None
            self.space = Space.of(generator)
            coordinates = self.space.coordinates(start.detach())
        self.surrogate = Surrogate()
        self.shortcut = generator.cut_layer < generator.layers - 1
        self.base = coordinates.mean(1, keepdim=True).requires_grad_()  # (n, 1, dim)
        self.rows = (coordinates - self.base.detach()).requires_grad_()  # (n, layers, dim)
        self.memory = [(torch.zeros_like(x), torch.zeros_like(x)) for x in (self.base, self.rows)]
        self.best = start.detach().clone()
        self.terms: Terms = {}  # of the best, unweighted
        self.best_loss = torch.full((len(images),), math.inf, device=start.device)

    def advance(self, step: int) -> None:
        """One update. Gradients are taken of the latents only: the generator's parameters never get any."""
        settings = self.settings
        with torch.enable_grad():
            coordinates = self.base + self.rows
            latents = self.space.latents(coordinates)
            last = step >= settings.steps - settings.finish
            if last or not self.shortcut:
                picture = self.generator.synthesize(latents)
            else:
                maps = self.generator.activations(latents, self.generator.cut_layer)
                picture = self.surrogate.picture(maps)
            loss = self._weighted(self._terms(picture, coordinates)).sum()
            gradients = torch.autograd.grad(loss, [self.base, self.rows])
        rate = settings.learning_rate * settings.schedule(step)
        rates = (rate, rate * settings.row_rate)
        for x, gradient, memory, own in zip(
            (self.base, self.rows), gradients, self.memory, rates, strict=True
        ):
            x.data -= own * adam(gradient, *memory, step + 1)

    @torch.no_grad()
    def look(self, step: int) -> Inversion:
        """Draw the picture itself: judge the latents by it, and fit the surrogate to it."""
        coordinates = self.base + self.rows
        latents = self.space.latents(coordinates)
        picture = self.generator.render(latents)
        terms = self._terms(picture, coordinates)
        loss = self._weighted(terms)
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best = torch.where(better[:, None, None], latents, self.best)
        self.terms = {
            name: torch.where(better, term, self.terms.get(name, term)) for name, term in terms.items()
        }
        if self.shortcut and step < self.settings.steps - self.settings.finish:
            maps = self.generator.activations(latents, self.generator.cut_layer)
            self.surrogate.fit(maps, picture)
        means = {name: float(term.mean()) for name, term in self.terms.items()}
        return Inversion(self.best.clone(), self.generator, step, self.settings.steps, means)

    def _terms(self, picture: Images, coordinates: Latents) -> Terms:
        """Every term that has a weight."""
        settings = self.settings
        picture = losses.resize(picture, settings.resolution)
        terms = {
            "pixel": losses.pixel(picture, self.target, self.window)
        }  # cheap, and worth knowing even at weight 0
        if settings.perceptual:
            features = losses.perceptual_features(picture)
            terms["perceptual"] = losses.perceptual(features, self.features, self.window)
        if self.descriptors is not None:
            terms["identity"] = losses.identity(losses.descriptors(picture), self.descriptors)
        terms["closeness"] = losses.closeness(coordinates)
        terms["typicality"] = losses.typicality(coordinates)
        return terms

    def _weighted(self, terms: Terms) -> Float[Tensor, " n"]:
        weights = self.settings.weights
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum(0)
