"""What a generator can do, for its model card: sheets that nobody picked from, and the figures of merit."""

import csv
import logging
from dataclasses import dataclass
from pathlib import Path

import torch

from backends import Images
from backends.dataset import Photographs
from backends.generators import Generator
from evaluation import metrics, sheets
from evaluation._spectrum import comb

FIRST = 100_000  # seeds of the samples that are measured: far from those on the sheets
logger = logging.getLogger(__name__)


@dataclass
class Report:
    """Settings of one report."""

    folder: Path  # of the sheets and figures
    samples: int = 5000  # measured; the figures depend on it
    batch: int = 16


def report(settings: Report, generator: Generator, photographs: Photographs) -> dict[str, float]:
    """Writes `samples_0.7.webp`, `samples_1.0.webp`, `nearest.webp` and `figures.csv`; returns the figures.

    The distance between two halves of the photographs, each of at most `samples`, says what a perfect
    generator could reach.
    """
    folder = settings.folder
    for truncation in (0.7, 1.0):
        sheets.save(
            samples(generator, range(64), truncation, settings.batch),
            8,
            folder / f"samples_{truncation}.webp",
        )
    real = metrics.measure(_batches(photographs, settings.batch))
    ours = metrics.measure(
        samples(generator, range(start, min(start + settings.batch, FIRST + settings.samples)))
        for start in range(FIRST, FIRST + settings.samples, settings.batch)
    )
    sheets.save(neighbours(generator, photographs, real.features), 4, folder / "nearest.webp")
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(0))
    first, second = (real.features[half] for half in order.chunk(2))
    figures = {
        "samples": float(len(ours.features)),
        **metrics.figures(ours, real),
        "fid_like_of_halves": metrics.frechet(first[: settings.samples], second[: settings.samples]),
        **{f"grid_{period}": ratio for period, ratio in comb(ours.power, real.power).items()},
    }
    with (folder / "figures.csv").open("w", newline="") as target:
        csv.writer(target).writerows(figures.items())
    logger.info("%s", figures)
    return figures


def samples(generator: Generator, seeds: range, truncation: float = 1.0, batch: int = 16) -> Images:
    """One picture per seed, on the processor."""
    latents = generator.sample(list(seeds), truncation)
    return torch.cat([generator.render(part).cpu().float() for part in latents.split(batch)])


def neighbours(generator: Generator, photographs: Photographs, real: metrics.Features) -> Images:
    """Rows of a sample and the three training photographs most like it: were they learnt by heart?"""
    drawn = samples(generator, range(10))
    rows = []
    for sample, nearest in zip(drawn, metrics.nearest(metrics.features(drawn), real), strict=True):
        rows += [sample, *photographs.images(nearest.tolist())]
    return torch.stack(rows)


def _batches(photographs: Photographs, size: int) -> list[Images]:
    return [
        photographs.images(list(range(i, min(i + size, len(photographs)))))
        for i in range(0, len(photographs), size)
    ]
