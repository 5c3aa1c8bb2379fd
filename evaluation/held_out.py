"""How a domain treats photographs that training did not see: a sheet of inversions and edits, and errors."""

import csv
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
from directions import Direction
from evaluation import sheets

logger = logging.getLogger(__name__)


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

    Of `photographs`, `count` are taken, spread evenly; an inversion is what is there after so many `seconds`;
    `strength` is that of the edits, in standard deviations. Returns the mean squared errors of the
    inversions, of pixels in [-1, 1].
    """
    pictures, table = [], []
    for i in range(count):
        number = i * len(photographs) // count
        target = photographs.images([number])
        inversion, spent = _inverted(inverter, generator, target, seconds)
        latents = inversion.latents
        edited = [latents, *(latents + strength * d.step(latents) for d in directions)]
        drawn = [inversion.generator.render(x).cpu().float() for x in edited]
        table.append(
            (photographs.names[number], round(float(F.mse_loss(drawn[0], target)), 4), round(spent, 1))
        )
        pictures += [target, *drawn]
    sheets.save(torch.cat(pictures), 2 * (2 + len(directions)), folder / "held_out.webp")
    with (folder / "held_out.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("photograph", "mse", "seconds"), *table])
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
