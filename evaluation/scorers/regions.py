"""Colours of named parts of a picture: the fur of a cat, the sky above a tower."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from config import ConfigError
from evaluation.scorers._colours import PROPERTIES, Colours, Mask


@dataclass
class Regions(Colours):
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

    def parts(self, side: int) -> list[tuple[Mask, Sequence[str]]]:
        masks = torch.zeros(len(self.regions), side, side, dtype=torch.bool)
        for mask, rectangles in zip(masks, self.regions.values(), strict=True):
            for left, top, right, bottom in rectangles:
                mask[round(top * side) : round(bottom * side), round(left * side) : round(right * side)] = (
                    True
                )
        return [(mask, self.properties) for mask in masks]
