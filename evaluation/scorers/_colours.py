"""Light and colour of parts of a picture."""

from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from backends import Images
from backends.losses import resize
from evaluation.scorers import Scorer

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of sRGB primaries (ITU-R BT.709), here on gamma-coded values
SIDE = 64  # pixels; averages need no more
PROPERTIES = ("brightness", "warmth", "saturation", "contrast", "greenness")
Mask = Bool[Tensor, "side side"]


class Colours(Scorer):
    """Scores are averages of PROPERTIES over the pixels of parts."""

    @abstractmethod
    def parts(self, side: int) -> list[tuple[Mask, Sequence[str]]]:
        """Parts of a picture of `side` pixels, and which properties of each are the next columns."""

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        small = (resize(images, min(SIDE, images.shape[-1])) + 1) / 2
        columns = []
        for mask, wanted in self.parts(small.shape[-1]):
            found = _properties(small[:, :, mask])
            columns += [found[name] for name in wanted]
        return torch.stack(columns, dim=1)


def _properties(pixels: Float[Tensor, "n 3 places"]) -> dict[str, Float[Tensor, " n"]]:
    """Each of PROPERTIES, of values in [0, 1].

    Brightness is the mean luminance, contrast its standard deviation, warmth red against blue, greenness
    green against red and blue.
    """
    luminance = torch.einsum("ncp,c->np", pixels, pixels.new_tensor(LUMINANCE))
    red, green, blue = pixels.mean(2).T
    return {
        "brightness": luminance.mean(1),
        "warmth": red - blue,
        "saturation": (pixels.amax(1) - pixels.amin(1)).mean(1),
        "contrast": luminance.std(1),
        "greenness": green - (red + blue) / 2,
    }
