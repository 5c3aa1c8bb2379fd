"""Contact sheets: many pictures in one file, to be judged by eye."""

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
