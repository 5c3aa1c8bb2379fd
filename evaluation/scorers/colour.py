"""What any picture has: light, colour, and a background."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from evaluation.scorers import Scorer
from evaluation.scorers._colours import properties, thumbnails

WHOLE = ("brightness", "contrast", "warmth", "saturation")  # what is measured of the whole picture


@dataclass
class Colour(Scorer):
    """Averages over the picture, its middle (the subject) and its border (the background), within -1...1."""

    border: float = 0.12  # width of the background's frame, sides of the picture; its lower edge is left out

    @property
    def names(self) -> list[str]:
        return [*WHOLE, "background brightness", "subject brightness"]

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        small = thumbnails(images)
        side = small.shape[-1]
        edge, third = max(1, round(self.border * side)), side // 3
        background = torch.ones(side, side, dtype=torch.bool)
        background[edge:, edge:-edge] = False  # top, left and right: below is the subject's own body
        whole = properties(small.flatten(2))
        parts = small[:, :, background], small[:, :, third:-third, third:-third].flatten(2)
        return torch.stack(
            [*(whole[name] for name in WHOLE), *(properties(part)["brightness"] for part in parts)], dim=1
        )
