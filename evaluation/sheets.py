"""Contact sheets: many pictures in one file, to be judged by eye."""

from pathlib import Path

from PIL import Image

from backends import Images
from backends.photos import to_pil


def sheet(images: Images, columns: int) -> Image.Image:
    """All pictures in one, row by row."""
    side = images.shape[-1]
    canvas = Image.new("RGB", (columns * side, -(-len(images) // columns) * side), "white")
    for i, picture in enumerate(to_pil(images)):
        canvas.paste(picture, (i % columns * side, i // columns * side))
    return canvas


def save(images: Images, columns: int, path: Path) -> None:
    """Write a contact sheet in the format of the file's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet(images, columns).save(path, quality=85)  # which formats without loss ignore
