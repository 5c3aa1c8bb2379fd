"""`python cli.py evaluate sliders`: on how many pictures each end of a slider does what its name says."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import torch
from tqdm import tqdm

from directions import Direction
from evaluation.effects import Measure
from evaluation.tables import markdown, write_csv

CLEAR = 0.25  # standard deviations of the score that count as a change
ENOUGH = 0.9  # share of the pictures on which an end must do what the name says
MORE = 20  # times as many samples are searched for those that have, or lack, something
FEW = 5  # of them are not enough to judge by: then all samples are asked


@dataclass(frozen=True)
class End:
    """One end of a slider, tried on some pictures."""

    slider: str
    score: str  # what the name promises
    strength: float
    right: float  # share of the pictures whose score changes clearly, and the right way
    change: float  # mean change of the score, standard deviations
    same: float  # share of the pictures that still show the same subject
    tried: int  # pictures

    @property
    def kept(self) -> bool:
        """Whether the name is true at this end; the lower one of a slider from 0 on promises nothing."""
        return self.right >= ENOUGH or not self.strength


def ends(measure: Measure, directions: Mapping[str, Direction]) -> list[tuple[End, End]]:
    """Lower and upper end of those directions for which the evaluation says what their names promise.

    What a picture has or lacks (`binary`) is taken away from pictures that have it and added to others, as
    many as there are samples or as can be found among `MORE` times as many.
    """
    evaluation = measure.evaluation
    crowd = measure.more(MORE)  # rendered only if something is binary
    found = []
    for name in tqdm([name for name in directions if name in evaluation.sliders], "sliders", disable=None):
        (score, sign), direction = evaluation.promise(name), directions[name]
        sides = []
        for strength, way in ((direction.low, -sign), (direction.high, sign)):  # way: the right one
            some = crowd.having(score, -way, evaluation.samples) if name in evaluation.binary else measure
            asked = some if len(some.latents) >= FEW else measure
            changes, same = asked.moved(direction, torch.full((len(asked.latents),), float(strength)))
            change = changes[:, measure.names.index(score)]
            figures = (way * change > CLEAR).float(), change, same.float()
            means = (round(float(figure.mean()), 3) for figure in figures)
            sides.append(End(name, evaluation.sliders[name], strength, *means, tried=len(change)))
        found.append(tuple(sides))
    return found


def write(out: Path, found: Sequence[tuple[End, End]]) -> None:
    """sliders.csv with a row an end, and sliders.md with a row a slider, in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [asdict(end).values() for pair in found for end in pair]
    write_csv(out / "sliders.csv", [[field.name for field in fields(End)], *rows])
    titles = ["slider", "ends", "pictures", "right at lower, upper end", "mean change", "same person"]
    (out / "sliders.md").write_text(markdown([*titles, "name kept"], map(_cells, found)))


def _cells(pair: tuple[End, End]) -> list[str]:
    columns = [
        [f"{end.strength:g}", f"{end.tried}", f"{end.right:.0%}", f"{end.change:+.1f}", f"{end.same:.0%}"]
        for end in pair
    ]
    both = [", ".join(values) for values in zip(*columns, strict=True)]
    return [pair[0].slider, *both, "yes" if all(end.kept for end in pair) else "no"]
