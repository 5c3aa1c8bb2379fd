"""What a step along each direction does to every score, on the same samples for all directions."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

import scorers
from backends import Latents, losses
from backends.generators import Generator
from directions import Direction
from evaluation.settings import Evaluation

SAME = 0.36  # squared distance of dlib's descriptors below which it says it is the same person


@dataclass(frozen=True)
class Effect:
    """Means over the samples of a step to the positive side.

    Every other sample is moved to the negative side instead, and counts with its sign turned: a direction
    that only works one way, or moves a score up on both sides, has no large effect.
    """

    changes: Float[Tensor, " scores"]  # in standard deviations of the score over the samples
    agreement: Float[Tensor, " scores"]  # share of samples that move the way of the mean
    identity: float  # share of pictures in which dlib's network still sees the same person

    def purity(self, columns: list[int]) -> float:
        """Share of the largest change in all that change: 1 = nothing else does."""
        squares = self.changes[columns].square()
        return float(squares.max() / squares.sum().clamp(min=1e-12))


@dataclass(frozen=True)
class Base:
    """The unedited samples."""

    scores: Float[Tensor, "n scores"]
    deviation: Float[Tensor, " scores"]
    descriptors: Float[Tensor, "n 128"]


class Measure:
    """Renders and scores; the samples are made once and shared by every direction."""

    def __init__(self, generator: Generator, evaluation: Evaluation):
        self.generator, self.evaluation = generator, evaluation
        self.scorers = evaluation.built()
        self.names = scorers.names(self.scorers)
        seeds = list(range(evaluation.seed, evaluation.seed + evaluation.samples))
        self.latents = generator.sample(seeds, evaluation.truncation)

    @cached_property
    def base(self) -> Base:
        """Rendered when the first direction needs it: not at all, if all were measured before."""
        scores, descriptors = self._seen(self.latents)
        return Base(scores, scores.std(0).clamp(min=1e-6), descriptors)

    def effect(self, direction: Direction) -> Effect:
        """The mean effect of one step."""
        sign = torch.ones(len(self.latents))
        sign[1::2] = -1
        changes, same = self.moved(direction, self.evaluation.step * sign)
        changes = changes * sign[:, None]
        mean = changes.mean(0)
        return Effect(mean, (changes * mean.sign() > 0).float().mean(0), float(same.float().mean()))

    def moved(
        self, direction: Direction, strength: Float[Tensor, " n"]
    ) -> tuple[Float[Tensor, "n scores"], Bool[Tensor, " n"]]:
        """Per sample, the changes in standard deviations, and whether the person stays the same."""
        strength = strength.to(self.latents)[:, None, None]
        scores, descriptors = self._seen(self.latents + strength * direction.step(self.latents))
        changes = (scores - self.base.scores) / self.base.deviation
        return changes, losses.identity(descriptors, self.base.descriptors) < SAME

    @torch.no_grad()
    def _seen(self, latents: Latents) -> tuple[Float[Tensor, "n scores"], Float[Tensor, "n 128"]]:
        parts = [
            (self._scores(i, images), losses.descriptors(images).cpu())
            for i, images in self._pictures(latents)
        ]
        scores, descriptors = zip(*parts, strict=True)
        return torch.cat(scores), torch.cat(descriptors)

    def _pictures(self, latents: Latents) -> Iterator[tuple[int, Tensor]]:
        for start in range(0, len(latents), self.evaluation.batch):
            yield start, scorers.pictures(self.generator, latents[start : start + self.evaluation.batch])

    def _scores(self, start: int, images: Tensor) -> Float[Tensor, "n scores"]:
        names = [f"seed {self.evaluation.seed + i}" for i in range(start, start + len(images))]
        return scorers.score(self.scorers, images, names)
