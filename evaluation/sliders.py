"""`python cli.py evaluate sliders`: on how many pictures each end of a slider does what its name says."""

import csv
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm import tqdm

from directions import Direction
from evaluation.effects import Measure
from evaluation.settings import Evaluation

CLEAR = 0.25  # standard deviations of the score that count as a change
ENOUGH = 0.9  # share of the pictures on which an end must do what the name says
MORE = 20  # times as many samples are searched for those that have, or lack, something
FEW = 5  # of them are not enough to judge by: then all samples are asked


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
    tried_low: int  # pictures; those that have what is taken away, where the evaluation calls it binary
    tried_high: int  # those that have it not

    @property
    def kept(self) -> bool:
        """Whether the name is true at both ends; a slider that starts at 0 has one."""
        return self.right_high >= ENOUGH and (self.right_low >= ENOUGH or self.low == 0)


def ends(measure: Measure, directions: Mapping[str, Direction]) -> list[Ends]:
    """Of those directions for which the evaluation says what their names promise.

    What a picture has or has not is taken away from pictures that have it and added to others, as many as
    there are samples or as can be found among `MORE` times as many.
    """
    promised, binary = measure.evaluation.sliders, measure.evaluation.binary
    listed = [name for name in directions if name in promised]
    crowd = measure.more(MORE)  # rendered only if something is binary
    found = []
    for name in tqdm(listed, "sliders", disable=None):
        asked = measure, measure
        if name in binary:
            score, sign = measure.evaluation.promise(name)
            some = [crowd.having(score, way, measure.evaluation.samples) for way in (sign, -sign)]
            asked = tuple(each if len(each.latents) >= FEW else measure for each in some)
        found.append(_ends(measure.evaluation, directions[name], *asked))
    return found


def _ends(evaluation: Evaluation, direction: Direction, lower: Measure, upper: Measure) -> Ends:
    """The lower end on the samples of one measurement, the upper on those of another."""
    score, sign = evaluation.promise(direction.name)
    figures = []
    for measure, strength, way in ((lower, direction.low, -sign), (upper, direction.high, sign)):
        changes, same = measure.moved(direction, torch.full((len(measure.latents),), strength))
        change = changes[:, measure.names.index(score)]
        right = float((way * change > CLEAR).float().mean())
        figures.append((right, float(change.mean()), float(same.float().mean())))
    low, high = figures
    return Ends(
        direction.name,
        evaluation.sliders[direction.name],
        direction.low,
        direction.high,
        *(round(number, 3) for pair in zip(low, high, strict=True) for number in pair),
        tried_low=len(lower.latents),
        tried_high=len(upper.latents),
    )


def write(out: Path, found: list[Ends]) -> None:
    """sliders.csv and sliders.md in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "sliders.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(asdict(found[0])) if found else ["slider"])
        writer.writeheader()
        writer.writerows(asdict(row) for row in found)
    lines = [
        "| slider | ends | pictures | right at lower, upper end | mean change | same person | name kept |",
        "|--|--|--|--|--|--|--|",
    ]
    lines += [_line(row) for row in found]
    (out / "sliders.md").write_text("\n".join(lines) + "\n")


def _line(row: Ends) -> str:
    return (
        f"| {row.slider} | {row.low:g}, {row.high:g} | {row.tried_low}, {row.tried_high} "
        f"| {row.right_low:.0%}, {row.right_high:.0%} | {row.change_low:+.1f}, {row.change_high:+.1f} "
        f"| {row.same_low:.0%}, {row.same_high:.0%} | {'yes' if row.kept else 'no'} |"
    )
