"""What a step along each direction does to every score, on the same samples for all directions."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

import scorers
from backends import Latents, losses
from backends.generators import Generator
from directions import Direction
from evaluation.settings import Evaluation

IDENTITY_SIDE = 256  # pixels of the pictures whose identity is compared


@dataclass(frozen=True)
class Effect:
    """Means over the samples of a step to the positive side; the other side counts with its sign turned."""

    changes: Float[Tensor, " scores"]  # in standard deviations of the score over the samples
    agreement: Float[Tensor, " scores"]  # share of samples that both ends move the way of the mean
    identity: float  # share of pictures in which dlib's network still sees the same person, both ends
    movement: Float[Tensor, " scores"]  # mean size of the change, whatever its sign

    def purity(self, columns: list[int]) -> float:
        """Share of the largest change in all that change: 1 = nothing else does."""
        squares = self.changes[columns].square()
        return float(squares.max() / squares.sum().clamp(min=1e-12))


@dataclass(frozen=True)
class Base:
    """The unedited samples."""

    latents: Latents
    scores: Float[Tensor, "n scores"]
    deviation: Float[Tensor, " scores"]
    descriptors: Float[Tensor, "n 128"]
    names: list[str]  # of the scores


class Measure:
    """Renders and scores; the samples are made once and shared by every direction."""

    def __init__(self, generator: Generator, evaluation: Evaluation):
        self.generator, self.evaluation = generator, evaluation
        self.scorers = evaluation.built()
        seeds = list(range(evaluation.seed, evaluation.seed + evaluation.samples))
        latents = generator.sample(seeds, evaluation.truncation)
        scores, descriptors = self._seen(latents)
        deviation = scores.std(0).clamp(min=1e-6)
        self.base = Base(latents, scores, deviation, descriptors, scorers.names(self.scorers))

    def effect(self, direction: Direction) -> Effect:
        """The mean effect of one step, from both sides."""
        base, step = self.base, self.evaluation.step
        move = step * direction.step(base.latents)
        sides, same = [], []
        for sign in (1, -1):
            scores, descriptors = self._seen(base.latents + sign * move)
            sides.append(sign * (scores - base.scores) / base.deviation)
            same.append(losses.identity(descriptors, base.descriptors) < 0.36)
        changes = torch.stack(sides)  # (2, n, scores)
        mean = changes.mean((0, 1))
        return Effect(
            changes=mean,
            agreement=(changes * mean.sign() > 0).all(0).float().mean(0),
            identity=float(torch.stack(same).float().mean()),
            movement=changes.abs().mean((0, 1)),
        )

    def effects(self, directions: Iterable[Direction]) -> dict[str, Effect]:
        """By the name of the direction."""
        listed = list(directions)
        return {d.name: self.effect(d) for d in tqdm(listed, "directions", disable=None)}

    @torch.no_grad()
    def _seen(self, latents: Latents) -> tuple[Float[Tensor, "n scores"], Float[Tensor, "n 128"]]:
        scores, descriptors = [], []
        size = self.evaluation.batch
        for start in range(0, len(latents), size):
            images = self.generator.render(latents[start : start + size], preview=True).clamp(-1, 1)
            names = [f"seed {self.evaluation.seed + i}" for i in range(start, start + len(images))]
            scores.append(scorers.score(self.scorers, images, names))
            small = losses.resize(images, IDENTITY_SIDE) if images.shape[-1] > IDENTITY_SIDE else images
            descriptors.append(losses.descriptors(small).cpu())
        return torch.cat(scores), torch.cat(descriptors)
