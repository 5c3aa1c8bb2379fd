"""Turned squares in a photograph: what an aligner frames, and where a crop comes from.

Coordinates are continuous: pixel k covers k...k + 1, so its centre is at k + 0.5.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

Point = tuple[float, float]


@dataclass(frozen=True)
class Square:
    """A turned square of a photograph, in pixels; parts may lie outside the picture."""

    center: Point
    axis: Point  # from the centre to the middle of the right side

    @staticmethod
    def of_box(box: tuple[int, int, int, int]) -> "Square":
        """The upright square with the box's centre and its longer side."""
        left, top, right, bottom = box
        return Square(((left + right) / 2, (top + bottom) / 2), (max(right - left, bottom - top) / 2, 0.0))

    @property
    def side(self) -> float:
        return 2 * math.hypot(*self.axis)

    def to_photo(self, points: Float[ndarray, "n 2"]) -> Float[ndarray, "n 2"]:
        """Where points of the square are: (0, 0) is its top left, (1, 1) its bottom right."""
        x, y = self.axis
        return np.array(self.center) + (2 * points - 1) @ np.array([[x, y], [-y, x]])

    def from_photo(self, points: Float[ndarray, "n 2"]) -> Float[ndarray, "n 2"]:
        """The inverse of `to_photo`."""
        x, y = self.axis
        return ((points - self.center) @ np.array([[x, -y], [y, x]]) / (x * x + y * y) + 1) / 2

    def shown(self, size: tuple[int, int], places: int) -> Bool[ndarray, "{places} {places}"]:
        """Which of the square's pixels, `places` a side, have their centre in a photograph of this size."""
        x, y = np.meshgrid(*[(np.arange(places) + 0.5) / places] * 2)
        points = self.to_photo(np.stack([x, y], -1).reshape(-1, 2))
        inside = ((points > 0) & (points < np.array(size))).all(1)
        return inside.reshape(places, places)

    @property
    def corners(self) -> Float[ndarray, "4 2"]:
        """Top left, bottom left, bottom right, top right, as PIL's QUAD wants them."""
        return self.to_photo(np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, 0.0]]))

    def moved(self, shift: Point, scale: Point) -> "Square":
        """The same square after the photograph was shifted, then scaled."""
        (x, y), (u, v) = self.center, self.axis
        return Square(((x + shift[0]) * scale[0], (y + shift[1]) * scale[1]), (u * scale[0], v * scale[1]))
