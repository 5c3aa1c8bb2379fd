"""What a generator can do, for its model card: sheets that nobody picked from, and the figures of merit.

And how its domain treats photographs that training did not see: inversions, edits and errors.
"""

import logging
import time
from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from backends import Images
from backends.dataset import Photographs
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.photos import to_pil
from directions import Direction
from evaluation import metrics
from evaluation.tables import write_csv
from video import sheet

FIRST = 100_000  # seeds of the samples that are measured: far from those on the sheets
BATCH = 16
logger = logging.getLogger(__name__)


def report(
    generator: Generator, photographs: Photographs, folder: Path, count: int = 5000
) -> dict[str, float]:
    """Writes `samples_0.7.webp`, `samples_1.0.webp`, `nearest.webp` and `figures.csv`; returns the figures.

    They are of `count` samples, on which they depend. The distance between two halves of the photographs,
    each of at most `count`, says what a perfect generator could reach.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for truncation in (0.7, 1.0):
        picked = samples(generator, range(64), truncation)
        sheet(to_pil(picked), 8).save(folder / f"samples_{truncation}.webp", quality=85)
    real = metrics.measure(photographs.batches(size=BATCH))
    seeds = range(FIRST, FIRST + count)
    ours = metrics.measure(samples(generator, seeds[i : i + BATCH]) for i in range(0, count, BATCH))
    nearest = to_pil(neighbours(generator, photographs, real.features))
    sheet(nearest, 4).save(folder / "nearest.webp", quality=85)
    order = torch.randperm(len(photographs), generator=torch.Generator().manual_seed(0))
    first, second = (real.features[half][:count] for half in order.chunk(2))
    figures = {
        "samples": float(len(ours.features)),
        **metrics.figures(ours, real),
        "fid_like_of_halves": metrics.frechet(first, second),
        **{f"grid_{period}": ratio for period, ratio in metrics.comb(ours.power, real.power).items()},
    }
    write_csv(folder / "figures.csv", figures.items())
    logger.info("%s", figures)
    return figures


def samples(generator: Generator, seeds: range, truncation: float = 1.0) -> Images:
    """One picture per seed, on the processor."""
    latents = generator.sample(list(seeds), truncation)
    return torch.cat([generator.render(part).cpu().float() for part in latents.split(BATCH)])


def neighbours(generator: Generator, photographs: Photographs, real: metrics.Features) -> Images:
    """Rows of a sample and the three training photographs most like it: were they learnt by heart?"""
    drawn = samples(generator, range(10))
    rows = []
    for sample, nearest in zip(drawn, metrics.nearest(metrics.features(drawn), real), strict=True):
        rows += [sample, *photographs.images(nearest.tolist())]
    return torch.stack(rows)


def held_out(
    generator: Generator,
    inverter: Inverter,
    directions: Sequence[Direction],
    photographs: Photographs,
    folder: Path,
    count: int = 10,
    seconds: float = 15.0,
    strength: float = 2.0,
) -> list[float]:
    """Writes `held_out.webp`, lines of photograph, inversion and one edit a direction, and `held_out.csv`.

    Of `photographs`, at most `count` are taken, spread evenly; an inversion is what is there after so many
    `seconds`; `strength` is that of the edits, in standard deviations. Returns the mean squared errors of the
    inversions, of pixels in [-1, 1].
    """
    pictures, table = [], []
    for number in photographs.spread(count):
        target = photographs.images([number])
        inversion, spent = _inverted(inverter, generator, target, seconds)
        latents = inversion.latents
        edited = [latents, *(latents + strength * d.step(latents) for d in directions)]
        drawn = [inversion.generator.render(x).cpu().float() for x in edited]
        error = round(float(F.mse_loss(drawn[0], target)), 4)
        table.append((photographs.names[number], error, round(spent, 1)))
        pictures += [target, *drawn]
    columns = 2 * (2 + len(directions))
    sheet(to_pil(torch.cat(pictures)), columns).save(folder / "held_out.webp", quality=85)
    write_csv(folder / "held_out.csv", [("photograph", "mse", "seconds"), *table])
    errors = [error for _, error, _ in table]
    logger.info("mean squared error: mean %.4f, worst %.4f", sum(errors) / len(errors), max(errors))
    return errors


def _inverted(
    inverter: Inverter, generator: Generator, target: Images, limit: float
) -> tuple[Inversion, float]:
    """The last inversion within the time, and the seconds it took."""
    begun = time.perf_counter()
    found, seconds = None, 0.0
    for inversion in inverter.invert(target.to(generator.mean()), generator):
        if found is not None and time.perf_counter() - begun > limit:
            break
        found, seconds = inversion, time.perf_counter() - begun
    assert found is not None  # every inverter yields at least once
    return found, seconds
