"""`python cli.py evaluate sliders`: on how many pictures each end of a slider does what its name says."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from directions import Direction
from evaluation.effects import Measure
from evaluation.tables import markdown

CLEAR = 0.25  # standard deviations of the score that count as a change
ENOUGH = 0.9  # share of the pictures on which an end must do what the name says
MORE = 20  # times as many samples are searched for those that have, or lack, something
FEW = 5  # of them are not enough to judge by: then all samples are asked


@dataclass(frozen=True)
class End:
    """One end of a slider, tried on some pictures."""

    strength: float
    right: float  # share of the pictures whose score changes clearly, and the right way
    change: float  # mean change of the score, standard deviations
    same: float  # share of the pictures that still show the same subject
    tried: int  # pictures

    @property
    def kept(self) -> bool:
        """Whether the name is true at this end; a slider that starts at 0 has only one."""
        return self.right >= ENOUGH or not self.strength


@dataclass(frozen=True)
class Ends:
    """One slider at its two ends."""

    slider: str
    score: str  # what the name promises
    low: End
    high: End

    @property
    def kept(self) -> bool:
        """Whether the name is true at both ends."""
        return self.low.kept and self.high.kept


def ends(measure: Measure, directions: Mapping[str, Direction]) -> list[Ends]:
    """Of those directions for which the evaluation says what their names promise.

    What a picture has or lacks (`binary`) is taken away from pictures that have it and added to others, as
    many as there are samples or as can be found among `MORE` times as many.
    """
    evaluation = measure.evaluation
    crowd = measure.more(MORE)  # rendered only if something is binary
    found = []
    for name in tqdm([name for name in directions if name in evaluation.sliders], "sliders", disable=None):
        score, sign = evaluation.promise(name)
        sides = []
        for strength, way in ((directions[name].low, -sign), (directions[name].high, sign)):
            some = crowd.having(score, -way, evaluation.samples) if name in evaluation.binary else measure
            asked = some if len(some.latents) >= FEW else measure
            sides.append(_end(asked, directions[name], strength, score, way))
        found.append(Ends(name, evaluation.sliders[name], *sides))
    return found


def _end(measure: Measure, direction: Direction, strength: float, score: str, way: int) -> End:
    """`way` is the sign of the change that is right at this end."""
    changes, same = measure.moved(direction, torch.full((len(measure.latents),), strength))
    change = changes[:, measure.names.index(score)]
    shares = [(way * change > CLEAR).float(), change, same.float()]
    return End(strength, *(round(float(share.mean()), 3) for share in shares), tried=len(change))


def write(out: Path, found: list[Ends]) -> None:
    """sliders.csv and sliders.md in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for row in found:
        sides = {
            f"{key}_{side}".removeprefix("strength_"): value
            for key in asdict(row.low)
            for side, value in (("low", asdict(row.low)[key]), ("high", asdict(row.high)[key]))
        }
        rows.append({"slider": row.slider, "score": row.score, **sides})
    with (out / "sliders.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]) if rows else ["slider"])
        writer.writeheader()
        writer.writerows(rows)
    titles = ["slider", "ends", "pictures", "right at lower, upper end", "mean change", "same person"]
    (out / "sliders.md").write_text(markdown([*titles, "name kept"], map(_cells, found)))


def _cells(row: Ends) -> list[str]:
    low, high = row.low, row.high
    return [
        row.slider,
        f"{low.strength:g}, {high.strength:g}",
        f"{low.tried}, {high.tried}",
        f"{low.right:.0%}, {high.right:.0%}",
        f"{low.change:+.1f}, {high.change:+.1f}",
        f"{low.same:.0%}, {high.same:.0%}",
        "yes" if row.kept else "no",
    ]
