"""What a step along each direction does to every score, on the same samples for all directions."""

import hashlib
import json
from copy import copy
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from backends import Images, Latents, cache, losses
from backends.generators import Generator
from backends.networks import efficientnet_lite
from config import ConfigError
from directions import Direction
from evaluation import scorers
from evaluation.settings import Evaluation

FACE = 0.36  # squared distance of dlib's descriptors below which it says it is the same person
NEAR = 0.05  # other subjects: nearer to the original than this share of all pairs of samples are
FEATURES_SIDE = 160  # pixels
COUNTED = ("scorers", "samples", "seed", "truncation", "step", "identity")  # settings that decide the numbers


@dataclass(frozen=True)
class Effect:
    """Means over the samples of a step to the positive side.

    Every other sample is moved to the negative side instead, and counts with its sign turned: a direction
    that only works one way, or moves a score up on both sides, has no large effect.
    """

    changes: Float[Tensor, " scores"]  # in standard deviations of the score over the samples
    agreement: Float[Tensor, " scores"]  # share of samples that move the way of the mean
    identity: float  # share of pictures that still show the same person or subject

    def largest(self, columns: list[int]) -> int:
        """The column that changes most."""
        return columns[int(self.changes[columns].abs().argmax())]

    def purity(self, columns: list[int], of: int | None = None) -> float:
        """Share of one change, by default the largest, in all that change: 1 = nothing else does."""
        wanted = self.largest(columns) if of is None else of
        squares = self.changes.square()
        return float(squares[wanted] / squares[sorted({*columns, wanted})].sum().clamp(min=1e-12))


@dataclass(frozen=True)
class Base:
    """The unedited samples."""

    scores: Float[Tensor, "n scores"]
    std: Float[Tensor, " scores"]
    descriptors: Float[Tensor, "n features"]
    near: float  # squared distance of descriptors below which it is the same subject


class Measure:
    """Renders and scores; the samples are made once and shared by every direction.

    Raises ConfigError when the evaluation names a score that no scorer measures.
    """

    def __init__(self, generator: Generator, evaluation: Evaluation):
        self.generator, self.evaluation = generator, evaluation
        self.scorers = evaluation.built()
        self.names = scorers.names(self.scorers)
        wanted = {*evaluation.words, *(evaluation.promise(slider)[0] for slider in evaluation.sliders)}
        if unknown := sorted(wanted.difference(self.names)):
            raise ConfigError(f"no score is called {unknown[0]!r}; there are: {', '.join(self.names)}")
        self.seeds = list(range(evaluation.seed, evaluation.seed + evaluation.samples))
        self.latents = generator.sample(self.seeds, evaluation.truncation)

    @cached_property
    def base(self) -> Base:
        """Rendered when the first direction needs it: not at all, if all were measured before."""
        scores, descriptors = self._seen(self.latents)
        near = FACE
        if self.evaluation.identity == "features":
            near = float(torch.pdist(descriptors).square().quantile(NEAR))
        return Base(scores, scores.std(0).clamp(min=1e-6), descriptors, near)

    def more(self, times: int) -> "Measure":
        """The same on `times` as many samples, none of which are these."""
        seed = self.evaluation.seed + self.evaluation.samples
        samples = times * self.evaluation.samples
        return Measure(self.generator, replace(self.evaluation, seed=seed, samples=samples))

    def having(self, score: str, sign: int, most: int) -> "Measure":
        """The same on the first samples that have (sign 1) or lack (-1) what a score says in log-odds."""
        chosen = (sign * self.base.scores[:, self.names.index(score)] > 0).nonzero()[:most, 0]
        some = copy(self)
        some.seeds, some.latents = [self.seeds[i] for i in chosen], self.latents[chosen]
        some.base = replace(
            self.base, scores=self.base.scores[chosen], descriptors=self.base.descriptors[chosen]
        )
        return some

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
        """Per sample, the changes in standard deviations, and whether the subject stays the same."""
        strength = strength.to(self.latents)[:, None, None]
        scores, descriptors = self._seen(self.latents + strength * direction.step(self.latents))
        changes = (scores - self.base.scores) / self.base.std
        return changes, (descriptors - self.base.descriptors).square().sum(1) < self.base.near

    @torch.no_grad()
    def _seen(self, latents: Latents) -> tuple[Float[Tensor, "n scores"], Float[Tensor, "n features"]]:
        scores, descriptors = [], []
        for start in range(0, len(latents), self.evaluation.batch):
            images = scorers.pictures(self.generator, latents[start : start + self.evaluation.batch])
            names = [f"seed {seed}" for seed in self.seeds[start : start + len(images)]]
            scores.append(scorers.score(self.scorers, images, names))
            descriptors.append(self._descriptors(images).cpu())
        return torch.cat(scores), torch.cat(descriptors)

    def _descriptors(self, images: Images) -> Float[Tensor, "n features"]:
        if self.evaluation.identity == "face":
            return losses.descriptors(images)
        small = losses.resize(images, FEATURES_SIDE).contiguous(memory_format=torch.channels_last)
        [maps] = efficientnet_lite.load("lite0").features(small, [6])
        return maps.mean((2, 3))


def measured(measure: Measure, direction: Direction) -> Effect:
    """The effect from the cache, or a new one, which is kept: an interrupted evaluation continues."""
    file = cache.folder() / "effects" / f"{key(measure, direction)}.json"
    kept = read_json(file)
    if not kept:
        new = measure.effect(direction)
        kept = {"direction": direction.name, "scores": measure.names, "identity": new.identity}
        kept |= {"changes": new.changes.tolist(), "agreement": new.agreement.tolist()}
        write_json(file, kept)
    return Effect(torch.tensor(kept["changes"]), torch.tensor(kept["agreement"]), kept["identity"])


def key(measure: Measure, direction: Direction) -> str:
    """Changes with the generator, the evaluation, and with what the direction adds to two of the samples.

    The last digits of that, in which two machines may differ, do not count.
    """
    settings = {name: value for name, value in asdict(measure.evaluation).items() if name in COUNTED}
    contents = [scorer.content() for scorer in measure.scorers]
    text = json.dumps([measure.generator.fingerprint, settings, contents], sort_keys=True, default=str)
    step = direction.step(measure.latents[:2]).detach().cpu().to(torch.bfloat16).view(torch.int16)
    return hashlib.sha256(text.encode() + step.numpy().tobytes()).hexdigest()[:32]


def read_json(file: Path) -> dict[str, Any]:
    """The mapping in a file; a missing or damaged one counts as empty, as it can be measured again."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(file: Path, content: dict[str, Any]) -> None:
    """The file is there whole or not at all; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with cache.whole(file) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")
