"""Pictures for the page: JPEG inside the message itself, so that no face is left in a folder."""

import base64
import io
from typing import TypedDict

from PIL import Image

from ui.links import finite

SHOWN = 640  # longer side of the photograph in the cropper, pixels
LEAST = 16  # side of a drawn square, pixels of the photograph
Square = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the photograph


class Picture(TypedDict):
    """Value of one of the three figures; `assets/picture.js` shows it."""

    src: str  # data: URL, empty for none
    alt: str  # what it shows, for those who cannot see it
    note: str  # shown in place of a missing picture
    of: str  # "crop", or "photo" for a whole photograph: only pictures of the same can be compared


class Crop(Picture):
    """Value of the cropper; `assets/crop.js` shows it."""

    square: list[float] | None  # left, top and side, as shares of the photograph's width


class Status(TypedDict):
    """Value of the status line; `assets/status.js` shows it."""

    text: str
    kind: str  # "plain", "busy", "done" or "problem"
    progress: float | None  # 0...1, or None for no bar


def status(text: str, kind: str = "plain", progress: float | None = None) -> Status:
    return Status(text=text, kind=kind, progress=progress)


def picture(image: Image.Image, alt: str, passing: bool = False, of: str = "crop") -> Picture:
    """Quality 90 without chroma subsampling: a 1024 picture takes 10 ms, PNG would take 400.

    A `passing` picture is gone with the next move of a slider; fewer bytes make the page answer sooner.
    """
    coarse = passing and image.width >= 256  # colours at half the size would show in a small picture
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80 if passing else 90, subsampling=2 if coarse else 0)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(src=f"data:image/jpeg;base64,{data}", alt=alt, note="", of=of)


def nothing(note: str) -> Picture:
    """An empty figure that says why."""
    return Picture(src="", alt=note, note=note, of="crop")


# The square that a visitor draws


def centre(photo: Image.Image) -> Square:
    """The largest square in the middle."""
    side = min(photo.size)
    left, top = (photo.width - side) // 2, (photo.height - side) // 2
    return left, top, left + side, top + side


def cropper(photo: Image.Image | None = None, square: Square | None = None) -> Crop:
    """The photograph and the square on it; nothing hides the widget."""
    if photo is None or square is None:
        return Crop(**nothing(""), square=None)
    small = photo.copy()
    small.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    left, top, right, _ = square
    shares = [left / photo.width, top / photo.width, (right - left) / photo.width]
    return Crop(**picture(small, "Your photograph", passing=True), square=shares)


def drawn(photo: Image.Image, said: object) -> Square:
    """The square in pixels of the photograph, moved and shrunk to lie in it; the centre for anything else.

    `said` comes from a browser: left, top and side, as shares of the photograph's width.
    """
    numbers = [finite(each) for each in said] if isinstance(said, list) and len(said) == 3 else [None]
    if any(number is None for number in numbers):
        return centre(photo)
    left, top, side = (number * photo.width for number in numbers if number is not None)
    largest = min(photo.size)
    side = round(min(max(side, min(LEAST, largest)), largest))
    left = round(min(max(left, 0), photo.width - side))
    top = round(min(max(top, 0), photo.height - side))
    return left, top, left + side, top + side
