"""`python cli.py evaluate sliders`: on how many pictures each end of a slider does what its name says."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from directions import Direction
from evaluation.effects import Measure

CLEAR = 0.25  # standard deviations of the score that count as a change
ENOUGH = 0.9  # share of the pictures on which an end must do what the name says


@dataclass(frozen=True)
class Ends:
    """One slider at its two ends."""

    slider: str
    score: str  # what the name promises
    low: float  # strength of the lower end
    high: float
    right_low: float  # share of the pictures whose score changes clearly, and the right way
    right_high: float
    change_low: float  # mean change of the score, standard deviations
    change_high: float
    same_low: float  # share of the pictures that still show the same person
    same_high: float

    @property
    def kept(self) -> bool:
        """Whether the name is true at both ends; a slider that starts at 0 has one."""
        return self.right_high >= ENOUGH and (self.right_low >= ENOUGH or self.low == 0)


def ends(measure: Measure, directions: Mapping[str, Direction]) -> list[Ends]:
    """Of those directions for which the evaluation says what their names promise."""
    listed = [name for name in directions if name in measure.evaluation.sliders]
    return [_ends(measure, directions[name]) for name in tqdm(listed, "sliders", disable=None)]


def _ends(measure: Measure, direction: Direction) -> Ends:
    score, sign = measure.evaluation.promise(direction.name)
    column = measure.names.index(score)
    figures = []
    for strength, way in ((direction.low, -sign), (direction.high, sign)):
        changes, same = measure.moved(direction, torch.full((len(measure.latents),), strength))
        promised = way * changes[:, column]
        right = float((promised > CLEAR).float().mean())
        figures.append((right, float(changes[:, column].mean()), float(same.float().mean())))
    low, high = figures
    return Ends(
        direction.name,
        measure.evaluation.sliders[direction.name],
        direction.low,
        direction.high,
        *(round(number, 3) for pair in zip(low, high, strict=True) for number in pair),
    )


def write(out: Path, found: list[Ends]) -> None:
    """sliders.csv and sliders.md in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "sliders.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(asdict(found[0])) if found else ["slider"])
        writer.writeheader()
        writer.writerows(asdict(row) for row in found)
    lines = [
        "| slider | ends | right at the lower, upper end | mean change | same person | name kept |",
        "|--|--|--|--|--|--|",
    ]
    lines += [
        f"| {row.slider} | {row.low:g}, {row.high:g} | {row.right_low:.0%}, {row.right_high:.0%} "
        f"| {row.change_low:+.1f}, {row.change_high:+.1f} | {row.same_low:.0%}, {row.same_high:.0%} "
        f"| {'yes' if row.kept else 'no'} |"
        for row in found
    ]
    (out / "sliders.md").write_text("\n".join(lines) + "\n")
