"""Edits of inverted photographs, each as strong as it takes to change a score by the same amount.

An inverter whose edits do less would keep identity, background and everything else better for nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.inverters import Inversion
from backends.photos import to_images, to_pil
from editor import Edit, Editor
from evaluation import scorers
from evaluation.photographs import Mask, Photograph, shrunk
from evaluation.scorers import Scorer
from evaluation.settings import MatchedEdit

CLOSE = 0.05  # share of the wanted change by which a match may be off
REACHED = 0.15  # by more than this share it counts as not reached
TRIES = 8  # pictures that a search draws at most
LEVELS = 127.5  # grey levels (of 0...255) of a unit of [-1, 1]


@dataclass(frozen=True)
class Match:
    """How far one photograph's slider goes for an edit."""

    direction: str
    strength: float
    wanted: float  # change of the score from the unedited inversion's, in its own units
    change: float  # that was reached

    @property
    def reached(self) -> bool:
        """Whether the change is as large as it should be."""
        return abs(self.change - self.wanted) <= REACHED * abs(self.wanted)


def matched(
    change: Callable[[float], float], wanted: float, ends: tuple[float, float], rising: bool
) -> tuple[float, float]:
    """The strength within `ends` (low, high) at which `change` is nearest to `wanted`, and what it is there.

    `rising`: whether it grows with the strength. It goes half way to an end, then to the end, until `wanted`
    lies between two strengths; between these it interpolates, and halves the weight of an end that stays
    (Illinois, Dowell & Jarratt, BIT 1971). `change` is called at most TRIES times; at 0 it is 0.
    """
    tried = {0.0: 0.0}
    end = ends[1] if (wanted > 0) == rising else ends[0]
    low, high = 0.0, 0.0
    for strength in (end / 2, end):
        low, high = high, strength
        tried[high] = change(high)
        if (tried[high] - wanted) * (tried[low] - wanted) <= 0:
            break
    off = {strength: value - wanted for strength, value in tried.items()}
    a, b, of_a, of_b = low, high, off[low], off[high]
    while of_a * of_b < 0 and len(tried) < TRIES and min(map(abs, off.values())) > CLOSE * abs(wanted):
        middle = a - of_a * (b - a) / (of_b - of_a)
        tried[middle] = change(middle)
        off[middle] = tried[middle] - wanted
        if off[middle] * of_b < 0:
            a, of_a = b, of_b
        else:
            of_a /= 2
        b, of_b = middle, off[middle]
    best = min(tried, key=lambda strength: abs(off[strength]))
    return best, tried[best]


@dataclass
class Trial:
    """One photograph's inversion, to be edited."""

    editor: Editor
    scorers: list[Scorer]
    photograph: Photograph
    inversion: Inversion

    @cached_property
    def photographed(self) -> Float[Tensor, " scores"]:
        """Scores of the photograph itself."""
        return self.scores(self.photograph.images)

    @cached_property
    def unedited(self) -> Float[Tensor, " scores"]:
        """Scores of its inversion."""
        return self.scores(shrunk(self.whole({})))

    def scores(self, images: Images) -> Float[Tensor, " scores"]:
        """Of a single picture."""
        return scorers.score(self.scorers, images, [self.photograph.name])[0]

    def whole(self, edit: Edit, inversion: Inversion | None = None) -> Images:
        """The edited picture at the generator's size, in the 256 levels of a picture that is saved."""
        inversion = inversion or self.inversion
        latents = self.editor.edited(inversion.latents[:1], edit)
        drawn = to_pil(inversion.generator.render(latents))[0]
        return to_images(drawn, drawn.width)

    def find(self, edit: MatchedEdit) -> Match:
        """The strength of an edit.

        Changes are counted from the unedited inversion: what a slider does. Whether something is added or
        taken away follows from the photograph, so that it is the same for all inverters.

        Raises ConfigError for an unknown direction, ValueError for an unknown score.
        """
        direction = self.editor.direction(edit.direction)
        column, sign = scorers.names(self.scorers).index(edit.column), -1 if edit.score.startswith("-") else 1
        wanted = sign * edit.change
        if edit.either:
            wanted = -abs(edit.change) if self.photographed[column] > 0 else abs(edit.change)
        before = self.unedited[column]

        def change(strength: float) -> float:
            return float(self.scores(shrunk(self.whole({edit.direction: strength})))[column] - before)

        strength, reached = matched(change, wanted, (direction.low, direction.high), sign > 0)
        return Match(edit.direction, strength, wanted, reached)


def background(picture: Images, photograph: Photograph, head: list[float]) -> float:
    """Mean absolute difference, grey levels (0...255), outside the head, where the photograph is seen.

    nan without a head, and where nothing is seen outside of it.
    """
    places = photograph.seen & outside(head, picture.shape[-1])
    difference = (picture - photograph.images).abs().mean((0, 1))[places]
    return LEVELS * float(difference.mean()) if head and len(difference) else float("nan")


def outside(head: list[float], side: int) -> Mask:
    """Where the ellipse of `Inversions.head` is not. A mask of the head itself would take its place here."""
    if not head:
        return torch.ones(side, side, dtype=torch.bool)
    x, y, across, down = head
    axis = (torch.arange(side) + 0.5) / side
    return ((axis - x) / across).square() + ((axis - y) / down).square()[:, None] > 1
