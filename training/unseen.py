"""How a domain treats photographs that training did not see: a sheet of inversions and edits, and errors."""

import csv
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from backends import Images
from backends.inverters import Inversion
from backends.photos import to_images
from editor import Editor
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
    source: str = "SeFa"
    directions: tuple[int, int] = (0, 1)  # numbers of the two edits
    strength: float = 2.0


def unseen(editor: Editor, settings: Unseen) -> list[float]:
    """Rows of photograph, inversion and two edits; returns the mean squared errors, pixels in [-1, 1].

    Raises ConfigError when there are no photographs.
    """
    _, held = data.load(settings.data, editor.generator.size)
    chosen = [i * len(held) // settings.count for i in range(settings.count)]
    names = list(editor.directions(settings.source))
    rows, table = [], []
    for i in chosen:
        target = held.images([i])
        inversion, seconds = _inverted(editor, target, settings.seconds)
        drawn = _picture(editor, inversion)
        error = float(F.mse_loss(drawn, target))
        table.append((held.names[i], round(error, 4), round(seconds, 1)))
        edits = [_picture(editor, inversion, {names[k]: settings.strength}) for k in settings.directions]
        rows += [target, drawn, *edits]
    folder = Path(settings.folder)
    sheets.save(torch.cat(rows), 8, folder / "unseen.webp")
    with (folder / "unseen.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("photograph", "mse", "seconds"), *table])
    errors = [error for _, error, _ in table]
    logger.info("mean squared error: mean %.4f, worst %.4f", sum(errors) / len(errors), max(errors))
    return errors


def _inverted(editor: Editor, target: Images, limit: float) -> tuple[Inversion, float]:
    """The last inversion within the time, and the seconds it took."""
    pixels = ((target[0] + 1) * 127.5).round().byte().permute(1, 2, 0).cpu().numpy()
    begun = time.perf_counter()
    found, seconds = None, 0.0
    for inversion in editor.invert(Image.fromarray(pixels)):
        if found is not None and time.perf_counter() - begun > limit:
            break
        found, seconds = inversion, time.perf_counter() - begun
    assert found is not None  # every inverter yields at least once
    return found, seconds


def _picture(editor: Editor, inversion: Inversion, edit: dict[str, float] | None = None) -> Images:
    return to_images(editor.render(inversion, edit), editor.generator.size)
