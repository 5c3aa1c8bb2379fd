"""Pictures for the page: JPEG inside the message itself, so that no face is left in a folder."""

import base64
import io
from typing import TypedDict

from PIL import Image


class Picture(TypedDict):
    """Value of one of the three figures; `ui/picture.js` shows it."""

    src: str  # data: URL, empty for none
    alt: str  # what it shows, for those who cannot see it
    note: str  # shown in place of a missing picture


def picture(image: Image.Image, alt: str, passing: bool = False) -> Picture:
    """Quality 90 without chroma subsampling: a 1024 picture takes 10 ms, PNG would take 400.

    A `passing` picture is gone with the next move of a slider; fewer bytes make the page answer sooner.
    """
    coarse = passing and image.width >= 256  # colours at half the size would show in a small picture
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80 if passing else 90, subsampling=2 if coarse else 0)
    return Picture(
        src=f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}", alt=alt, note=""
    )


def nothing(note: str) -> Picture:
    """An empty figure that says why."""
    return Picture(src="", alt=note, note=note)


class Status(TypedDict):
    """Value of the status line; `ui/status.js` shows it."""

    text: str
    kind: str  # "plain", "busy", "done" or "problem"
    progress: float | None  # 0...1, or None for no bar


def status(text: str, kind: str = "plain", progress: float | None = None) -> Status:
    return Status(text=text, kind=kind, progress=progress)
