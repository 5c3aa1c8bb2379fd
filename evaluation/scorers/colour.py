"""What any picture has: light, colour, and a background."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from evaluation.scorers._colours import Colours, Mask

WHOLE = ("brightness", "contrast", "warmth", "saturation")  # what is measured of the whole picture


@dataclass
class Colour(Colours):
    """Averages over the picture, its middle (the subject) and its border (the background), within -1...1."""

    border: float = 0.12  # width of the background's frame, sides of the picture; its lower edge is left out

    @property
    def names(self) -> list[str]:
        return [*WHOLE, "background brightness", "subject brightness"]

    def parts(self, side: int) -> list[tuple[Mask, Sequence[str]]]:
        edge, third = max(1, round(self.border * side)), side // 3
        whole, background = torch.ones(2, side, side, dtype=torch.bool)
        background[edge:, edge:-edge] = False  # top, left and right: below is the subject's own body
        subject = ~whole
        subject[third:-third, third:-third] = True
        return [(whole, WHOLE), (background, ["brightness"]), (subject, ["brightness"])]
