"""Colours of named parts of a picture: the fur of a cat, the sky above a tower."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from backends import Images
from config import ConfigError
from evaluation.scorers import Scorer
from evaluation.scorers._colours import PROPERTIES, properties, thumbnails


@dataclass
class Regions(Scorer):
    """Per region and property one score, "sky brightness"; a region is one or more rectangles.

    Only aligned or similar pictures have regions at fixed places.
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
        small = thumbnails(images)
        columns = []
        for rectangles in self.regions.values():
            found = properties(small[:, :, _mask(rectangles, small.shape[-1])])
            columns += [found[name] for name in self.properties]
        return torch.stack(columns, dim=1)


def _mask(rectangles: list[list[float]], size: int) -> Bool[Tensor, "size size"]:
    mask = torch.zeros(size, size, dtype=torch.bool)
    for left, top, right, bottom in rectangles:
        mask[round(top * size) : round(bottom * size), round(left * size) : round(right * size)] = True
    return mask
