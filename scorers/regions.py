"""Colours of named parts of a picture: the fur of a cat, the sky above a tower."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize
from config import ConfigError
from scorers import Scorer
from scorers.colour import LUMINANCE, SIDE

PROPERTIES = ("brightness", "warmth", "saturation", "contrast", "greenness")


@dataclass
class Regions(Scorer):
    """Per region and property one score, "sky brightness"; a region is one or more rectangles.

    Brightness is the mean luminance, warmth red against blue, greenness green against red and blue, contrast
    the standard deviation of the luminance. Only aligned or similar pictures have regions at fixed places.
    """

    regions: dict[str, list[list[float]]] = field(default_factory=dict)  # [left, top, right, bottom], of 1
    properties: list[str] = field(default_factory=lambda: ["brightness", "warmth", "saturation"])

    def __post_init__(self) -> None:
        for name, rectangles in self.regions.items():
            for box in rectangles:
                if len(box) != 4 or not (0 <= box[0] < box[2] <= 1 and 0 <= box[1] < box[3] <= 1):
                    raise ConfigError(f"regions: {name}: expected [left, top, right, bottom] within 0...1")
        if unknown := [name for name in self.properties if name not in PROPERTIES]:
            raise ConfigError(f"properties: {unknown[0]!r}; there are: {', '.join(PROPERTIES)}")

    @property
    def names(self) -> list[str]:
        return [f"{region} {name}" for region in self.regions for name in self.properties]

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        small = (resize(images, min(SIDE, images.shape[-1])) + 1) / 2
        columns = []
        for rectangles in self.regions.values():
            found = _properties(small[:, :, self._mask(rectangles, small.shape[-1])])
            columns += [found[name] for name in self.properties]
        return torch.stack(columns, dim=1)

    @staticmethod
    def _mask(rectangles: list[list[float]], size: int) -> Tensor:
        mask = torch.zeros(size, size, dtype=torch.bool)
        for left, top, right, bottom in rectangles:
            mask[round(top * size) : round(bottom * size), round(left * size) : round(right * size)] = True
        return mask


def _properties(pixels: Float[Tensor, "n 3 places"]) -> dict[str, Float[Tensor, " n"]]:
    luminance = torch.einsum("ncp,c->np", pixels, pixels.new_tensor(LUMINANCE))
    red, green, blue = pixels.mean(2).T
    return {
        "brightness": luminance.mean(1),
        "warmth": red - blue,
        "saturation": (pixels.amax(1) - pixels.amin(1)).mean(1),
        "contrast": luminance.std(1),
        "greenness": green - (red + blue) / 2,
    }
