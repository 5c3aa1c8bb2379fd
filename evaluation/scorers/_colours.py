"""Light and colour of a set of pixels, for scorers of whole pictures and of regions."""

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize

LUMINANCE = (0.2126, 0.7152, 0.0722)  # of sRGB primaries (ITU-R BT.709), here on gamma-coded values
SIDE = 64  # pixels; averages need no more
PROPERTIES = ("brightness", "warmth", "saturation", "contrast", "greenness")


def thumbnails(images: Images) -> Float[Tensor, "n 3 side side"]:
    """Small pictures with values in [0, 1]."""
    return (resize(images, min(SIDE, images.shape[-1])) + 1) / 2


def properties(pixels: Float[Tensor, "n 3 places"]) -> dict[str, Float[Tensor, " n"]]:
    """Each of PROPERTIES, over the pixels of a picture.

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
