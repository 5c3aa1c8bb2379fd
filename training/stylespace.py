"""StyleSpace: style channels ranked by attributes (Wu et al., CVPR 2021, section 5.2).

    python cli.py train configs/training/faces_stylespace.yaml

From samples with scores: a channel belongs to an attribute when it is far from its mean, and always alike,
in the pictures that have most of it. The best few are then tried on other latents, and scored again.
"""

import json
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends.generators import Generator
from config import ConfigError
from directions._statistics import statistics
from directions.stylespace import moves
from evaluation import scorers
from evaluation.scorers import Scorer
from plugins import build
from training.recipes import read
from training.samples import Samples, collect

log = logging.getLogger(__name__)
FIRST = 700_000  # seed of the latents that channels are tried on
Place = tuple[int, int]  # layer, channel


@dataclass
class Recipe:
    """The keys of the YAML file."""

    generator: dict[str, Any]
    scorers: list[dict[str, Any]]
    folder: str  # for the samples; may be that of InterFaceGAN's training
    out: str  # the .json file that `directions/stylespace.py` reads
    directions: dict[str, str]  # name -> score, "-" before it: less of it
    layers: list[int] = field(default_factory=list)  # whose channels are ranked; empty = all
    samples: int = 2000
    truncation: float = 1.0
    exemplars: float = 0.02  # share of the samples with the highest scores; the paper takes 30 pictures
    candidates: int = 6  # channels per score that are tried
    faces: int = 6  # latents that they are tried on, at truncation 0.7
    step: float = 5.0  # standard deviations of the channel
    batch: int = 4
    ridge: float = 1e-4  # see `directions.stylespace.StyleSpace`


@dataclass(frozen=True)
class Trial:
    """What a channel does to the scores, in standard deviations of the score per `step`."""

    place: Place
    changes: Float[Tensor, " scores"]  # half the difference of both ends, mean of the latents

    def merit(self, column: int) -> float:
        """Effect on a score, times its share in all that changes."""
        squares = self.changes.square()
        return float(self.changes[column].abs() * squares[column] / squares.sum().clamp(min=1e-12))


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Samples, ranks, tries, writes. Raises ConfigError."""
    recipe = read(Recipe, Path(config), overrides)
    generator = build(Generator, recipe.generator, "generator")
    measured = [build(Scorer, settings, "scorers") for settings in recipe.scorers]
    samples = collect(
        generator, measured, Path(recipe.folder), recipe.samples, recipe.truncation, batch=recipe.batch
    )
    wanted = {name: score.removeprefix("-") for name, score in recipe.directions.items()}
    for name, score in wanted.items():
        if score not in samples.names:
            raise ConfigError(
                f"directions: {name}: no score {score!r}; there are: {', '.join(samples.names)}"
            )
    ranked = {score: rank(generator, samples, score, recipe) for score in set(wanted.values())}
    deviation = samples.scores.nan_to_num().std(0).clamp(min=1e-6)
    places = sorted({place for places in ranked.values() for place in places})
    trials = try_channels(generator, measured, places, deviation, recipe)
    out = Path(recipe.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(chosen(recipe.directions, ranked, trials, samples.names), indent=1) + "\n")
    return out


def rank(generator: Generator, samples: Samples, score: str, recipe: Recipe) -> list[Place]:
    """The channels whose normalised mean over the exemplars is largest, in their own deviations.

    Exemplars are those with most of it, as in the paper, or else those with least: either end may be a mix.
    """
    column = samples.scores[:, samples.names.index(score)].nan_to_num(-torch.inf)
    count = max(2, int(len(column) * recipe.exemplars))
    places, merits = [], []
    for ends in (column.topk(count).indices, (-column).topk(count).indices):
        for layer, affine in enumerate(generator.affines()):
            if recipe.layers and layer not in recipe.layers:
                continue
            means, spreads = relevance(generator, affine, layer, samples.latents[ends])
            places += [(layer, channel) for channel in range(len(affine))]
            merits.append(means.abs() / spreads)
    order = torch.cat(merits).argsort(descending=True).tolist()
    best = dict.fromkeys(places[i] for i in order)  # in order, each once
    return list(best)[: recipe.candidates]


def relevance(
    generator: Generator,
    affine: Float[Tensor, "styles dim"],
    layer: int,
    latents: Float[Tensor, "n rows dim"],
) -> tuple[Float[Tensor, " styles"], Float[Tensor, " styles"]]:
    """Mean and deviation over exemplars of a layer's styles, both in deviations over all latents."""
    known = statistics(generator)
    row = min(layer, len(known.mean) - 1)
    deviation = ((affine @ known.covariance[row]) * affine).sum(1).clamp(min=1e-12).sqrt()
    w = latents[:, min(layer, latents.shape[1] - 1)].to(affine)
    styles = (w - known.mean[row]) @ affine.T / deviation
    return styles.mean(0), styles.std(0).clamp(min=1e-6)


def try_channels(
    generator: Generator,
    measured: list[Scorer],
    places: list[Place],
    deviation: Float[Tensor, " scores"],
    recipe: Recipe,
) -> dict[Place, Trial]:
    """Both ends of every channel on the same latents."""
    latents = generator.sample(list(range(FIRST, FIRST + recipe.faces)), 0.7)
    trials = {}
    for layer, channel in tqdm(places, "trying channels", disable=None):
        move = torch.zeros_like(latents)
        move[:, layer] = recipe.step * moves(generator, layer, recipe.ridge)[channel]
        ends = []
        for sign in (1, -1):
            parts = (latents + sign * move).split(recipe.batch)
            scores = [
                scorers.score(measured, scorers.pictures(generator, part), [""] * len(part)) for part in parts
            ]
            ends.append(torch.cat(scores).nan_to_num())
        trials[layer, channel] = Trial((layer, channel), (ends[0] - ends[1]).mean(0) / 2 / deviation)
    return trials


def chosen(
    directions: dict[str, str], ranked: dict[str, list[Place]], trials: dict[Place, Trial], names: list[str]
) -> dict[str, dict[str, Any]]:
    """The file's content: of each score's candidates the one that changes it most and little else."""
    result = {}
    for name, text in directions.items():
        score = text.removeprefix("-")
        column = names.index(score)
        best = max((trials[place] for place in ranked[score]), key=lambda trial: trial.merit(column))
        effect = float(best.changes[column]) * (-1 if text.startswith("-") else 1)
        log.info(
            "%-20s layer %d, channel %d: %+.2f, merit %.3f", name, *best.place, effect, best.merit(column)
        )
        result[name] = {"layer": best.place[0], "channel": best.place[1], "sign": 1 if effect > 0 else -1}
    return result
