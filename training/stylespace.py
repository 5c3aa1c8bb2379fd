"""StyleSpace: style channels ranked by attributes (Wu et al., CVPR 2021, section 5.2).

    python cli.py train configs/training/faces_stylespace.yaml

From samples with scores: a channel belongs to an attribute when, in the pictures that have most of it, the
channel is far from its mean and varies little. The best few are then tried on other latents, and scored.
"""

import json
import logging
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from config import ConfigError
from directions._statistics import statistics
from directions.stylespace import moves
from evaluation import scorers
from training._samples import Samples, SampleTrainer

log = logging.getLogger(__name__)
FIRST = 700_000  # seed of the latents that channels are tried on
Place = tuple[int, int]  # layer, channel
Changes = Float[Tensor, " scores"]  # half the difference of both ends, in standard deviations of the scores


@dataclass(kw_only=True)
class StyleSpace(SampleTrainer):
    """Writes what `directions/stylespace.py` reads; `folder` may be that of InterFaceGAN's samples."""

    directions: dict[str, str]  # name -> score, "-" before it: less of it
    layers: list[int] = field(default_factory=list)  # whose channels are ranked; empty = all
    samples: int = 2000
    exemplars: float = 0.02  # share of the samples with the highest scores; the paper takes 30 pictures
    candidates: int = 6  # channels per score that are tried
    faces: int = 6  # latents that they are tried on, at truncation 0.7
    move: float = 5.0  # standard deviations of the channel
    ridge: float = 1e-4  # see `directions.stylespace.StyleSpace`

    def export(self) -> None:
        """Rank the channels, try the best, write those that change their score most and others least."""
        samples = self.collect()
        wanted = {name: score.removeprefix("-") for name, score in self.directions.items()}
        for name, score in wanted.items():
            if score not in samples.names:
                raise ConfigError(
                    f"directions: {name}: no score {score!r}; there are: {', '.join(samples.names)}"
                )
        ranked = {score: self.rank(samples, score) for score in set(wanted.values())}
        std = samples.scores.nan_to_num().std(0).clamp(min=1e-6)
        trials = self.tried(sorted({place for places in ranked.values() for place in places}), std)
        found = chosen(self.directions, ranked, trials, samples.names)
        self.result.write_text(json.dumps(found, indent=1) + "\n")

    def rank(self, samples: Samples, score: str) -> list[Place]:
        """The channels whose normalised mean over the exemplars is largest, in standard deviations.

        Exemplars are those with most of it, as in the paper, or else those with least: either end may be a
        mix of several looks.
        """
        column = samples.scores[:, samples.names.index(score)].nan_to_num(-torch.inf)
        count = max(2, int(len(column) * self.exemplars))
        known = statistics(self.network)
        places, merits = [], []
        for ends in (column.topk(count).indices, (-column).topk(count).indices):
            for layer, affine in enumerate(self.network.affines()):
                if self.layers and layer not in self.layers:
                    continue
                row = min(layer, len(known.mean) - 1)
                std = ((affine @ known.covariance[row]) * affine).sum(1).clamp(min=1e-12).sqrt()
                w = samples.latents[ends, min(layer, samples.latents.shape[1] - 1)].to(affine)
                styles = (w - known.mean[row]) @ affine.T / std
                places += [(layer, channel) for channel in range(len(affine))]
                merits.append(styles.mean(0).abs() / styles.std(0).clamp(min=1e-6))
        order = torch.cat(merits).argsort(descending=True).tolist()
        best = dict.fromkeys(places[i] for i in order)  # in order, each once
        return list(best)[: self.candidates]

    def tried(self, places: list[Place], std: Float[Tensor, " scores"]) -> dict[Place, Changes]:
        """What both ends of every channel do to the scores, on the same latents."""
        latents = self.network.sample(list(range(FIRST, FIRST + self.faces)), 0.7)
        trials = {}
        for layer, channel in tqdm(places, "trying channels", disable=None):
            move = torch.zeros_like(latents)
            move[:, layer] = self.move * moves(self.network, layer, self.ridge)[channel]
            up, down = (self.scored(latents + sign * move) for sign in (1, -1))
            trials[layer, channel] = (up - down).mean(0) / 2 / std
        return trials

    def scored(self, latents: Float[Tensor, "n layers dim"]) -> Float[Tensor, "n scores"]:
        """Scores of the latents' pictures, 0 where unknown."""
        pictures = (scorers.pictures(self.network, part) for part in latents.split(self.batch))
        parts = [scorers.score(self.measured, images, [""] * len(images)) for images in pictures]
        return torch.cat(parts).nan_to_num()


def chosen(
    directions: dict[str, str], ranked: dict[str, list[Place]], trials: dict[Place, Changes], names: list[str]
) -> dict[str, dict[str, Any]]:
    """The file's content: of each score's candidates the one with the greatest merit."""
    result = {}
    for name, text in directions.items():
        score = text.removeprefix("-")
        column = names.index(score)
        layer, channel = best = max(ranked[score], key=lambda place: merit(trials[place], column))
        effect = float(trials[best][column]) * (-1 if text.startswith("-") else 1)
        figures = effect, merit(trials[best], column)
        log.info("%-20s layer %d, channel %d: %+.2f, merit %.3f", name, layer, channel, *figures)
        result[name] = {"layer": layer, "channel": channel, "sign": 1 if effect > 0 else -1}
    return result


def merit(changes: Changes, column: int) -> float:
    """Effect on a score, times its share in all that changes."""
    squares = changes.square()
    return float(changes[column].abs() * squares[column] / squares.sum().clamp(min=1e-12))
