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
MORE = 10  # times as many samples are searched for those that have what is rare
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
    owners: int = 0  # pictures that have what is rare, which the lower end was tried on; 0 = on all samples

    @property
    def kept(self) -> bool:
        """Whether the name is true at both ends; a slider that starts at 0 has one."""
        return self.right_high >= ENOUGH and (self.right_low >= ENOUGH or self.low == 0)


def ends(measure: Measure, directions: Mapping[str, Direction]) -> list[Ends]:
    """Of those directions for which the evaluation says what their names promise.

    The end that takes something rare away is tried on pictures that have it, as many as there are samples or
    as can be found among `MORE` times as many.
    """
    promised, rare = measure.evaluation.sliders, measure.evaluation.rare
    listed = [name for name in directions if name in promised]
    crowd = measure.more(MORE) if set(listed) & set(rare) else measure
    found = []
    for name in tqdm(listed, "sliders", disable=None):
        owners = None
        if name in rare:
            having = crowd.having(*measure.evaluation.promise(name), most=measure.evaluation.samples)
            owners = having if len(having.latents) >= FEW else None
        found.append(_ends(measure, directions[name], owners))
    return found


def _ends(measure: Measure, direction: Direction, owners: Measure | None) -> Ends:
    score, sign = measure.evaluation.promise(direction.name)
    column = measure.names.index(score)
    figures = []
    for asked, strength, way in (
        (owners or measure, direction.low, -sign),
        (measure, direction.high, sign),
    ):
        changes, same = asked.moved(direction, torch.full((len(asked.latents),), strength))
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
        owners=len(owners.latents) if owners else 0,
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
    lines += [_line(row) for row in found]
    (out / "sliders.md").write_text("\n".join(lines) + "\n")


def _line(row: Ends) -> str:
    owners = f" (of {row.owners} that have it)" if row.owners else ""
    return (
        f"| {row.slider} | {row.low:g}, {row.high:g} | {row.right_low:.0%}{owners}, {row.right_high:.0%} "
        f"| {row.change_low:+.1f}, {row.change_high:+.1f} | {row.same_low:.0%}, {row.same_high:.0%} "
        f"| {'yes' if row.kept else 'no'} |"
    )
