"""What any picture has: light, colour, and a background."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize
from scorers import Scorer

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of sRGB primaries (ITU-R BT.709), here on gamma-coded values
SIDE = 64  # pixels; averages need no more


@dataclass
class Colour(Scorer):
    """Averages over the picture, its middle (the subject) and its border (the background), within -1...1."""

    border: float = 0.12  # width of the background's frame, sides of the picture; its lower edge is left out

    @property
    def names(self) -> list[str]:
        return [
            "brightness",
            "contrast",
            "warmth",
            "saturation",
            "background brightness",
            "subject brightness",
        ]

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        small = (resize(images, min(SIDE, images.shape[-1])) + 1) / 2
        luminance = torch.einsum("nchw,c->nhw", small, small.new_tensor(LUMINANCE))
        edge = max(1, round(self.border * small.shape[-1]))
        background = torch.ones_like(luminance[0], dtype=torch.bool)
        background[edge:, edge:-edge] = False  # top, left and right: below is the subject's own body
        third = small.shape[-1] // 3
        columns = [
            luminance.mean((1, 2)),
            luminance.flatten(1).std(1),
            small[:, 0].mean((1, 2)) - small[:, 2].mean((1, 2)),  # red against blue
            (small.amax(1) - small.amin(1)).mean((1, 2)),
            luminance[:, background].mean(1),
            luminance[:, third:-third, third:-third].mean((1, 2)),
        ]
        return torch.stack(columns, dim=1)
