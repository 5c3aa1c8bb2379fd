"""The square that a visitor draws on a photograph: what `ui/crop.js` shows, and what may come back."""

import math
from typing import Any

from PIL import Image

from ui.pictures import nothing, picture

SHOWN = 640  # longer side of the photograph in the cropper, pixels
LEAST = 16  # side of a square, pixels of the photograph
Square = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the photograph


def centre(photo: Image.Image) -> Square:
    """The largest square in the middle."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return left, top, left + side, top + side


def cropper(photo: Image.Image | None = None, square: Square | None = None) -> dict[str, Any]:
    """Value of the widget: the photograph and the square on it as shares of its width; nothing hides it."""
    if photo is None or square is None:
        return {**nothing(""), "square": None}
    small = photo.copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    left, top, right, _ = square
    shares = [left / photo.width, top / photo.width, (right - left) / photo.width]
    return {**picture(small, "Your photograph", passing=True), "square": shares}


def within(photo: Image.Image, drawn: object) -> Square:
    """The square in pixels of the photograph, moved and shrunk to lie in it; the centre for anything else.

    `drawn` comes from a browser: left, top and side, as shares of the photograph's width.
    """
    numbers = drawn if isinstance(drawn, list) else []
    if len(numbers) != 3 or not all(isinstance(n, (int, float)) and math.isfinite(n) for n in numbers):
        return centre(photo)
    left, top, side = (float(number) * photo.width for number in numbers)
    largest = min(photo.size)
    side = round(min(max(side, min(LEAST, largest)), largest))
    left = round(min(max(left, 0), photo.width - side))
    top = round(min(max(top, 0), photo.height - side))
    return left, top, left + side, top + side
