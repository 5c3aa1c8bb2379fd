"""How a domain treats photographs that training did not see: a sheet of inversions and edits, and errors."""

import csv
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from backends import Images
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from directions import Direction
from training import data, sheets
from training.data import Data

logger = logging.getLogger(__name__)


@dataclass
class Unseen:
    """Settings of one sheet."""

    data: Data  # its held-out photographs are used: the same `holdout` as in training
    folder: str  # of `unseen.webp` and `unseen.csv`
    count: int = 10  # photographs, spread evenly over those held out
    seconds: float = 15.0  # for each inversion; what is there by then counts
    strength: float = 2.0  # of the edits, standard deviations of W


def unseen(
    settings: Unseen, generator: Generator, inverter: Inverter, directions: list[Direction]
) -> list[float]:
    """Rows of photograph, inversion and one edit per direction; returns the mean squared errors.

    Errors are of pixels in [-1, 1]. Raises ConfigError when there are no photographs.
    """
    _, held = data.load(settings.data, generator.size)
    pictures, table = [], []
    for i in range(settings.count):
        number = i * len(held) // settings.count
        target = held.images([number])
        inversion, seconds = _inverted(inverter, generator, target, settings.seconds)
        latents = inversion.latents
        moved = [latents, *(latents + settings.strength * d.step(latents) for d in directions)]
        drawn = [inversion.generator.render(x).cpu().float() for x in moved]
        table.append((held.names[number], round(float(F.mse_loss(drawn[0], target)), 4), round(seconds, 1)))
        pictures += [target, *drawn]
    folder = Path(settings.folder)
    sheets.save(torch.cat(pictures), 2 * (2 + len(directions)), folder / "unseen.webp")
    with (folder / "unseen.csv").open("w", newline="") as file:
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
