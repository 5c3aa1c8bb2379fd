"""What each direction does, in two small pictures: a sheet with a row a direction, its two ends side by side.

A sheet takes seconds to minutes to draw, so it is drawn while nobody needs the processor, and kept by
generator and settings of the source, as names are; those of the project's own domains are shipped.
"""

import base64
import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, UnidentifiedImageError

from backends import cache
from backends.photos import to_pil
from editor import Editor
from evaluation import naming
from ui import semantics
from ui.links import Panel

SHIPPED = naming.SHIPPED.parent / "thumbnails"
SIZE = 64  # pixels, twice what the page shows for dense screens
STRENGTH = 2.0  # standard deviations to either side, or the slider's end if it comes first
CALM = 0.5  # truncation of the sample: an average face shows an attribute coming and going


def sheet(editor: Editor, panel: Panel) -> Image.Image | None:
    """The sheet of a panel's source, if it was drawn before; its rows may be fewer than the directions."""
    name = _name(editor, panel)
    for file in (SHIPPED / name, _kept() / name):
        try:
            with Image.open(file) as image:
                return image.convert("RGB")
        except (OSError, UnidentifiedImageError):
            continue
    return None


def rows(image: Image.Image | None) -> int:
    """How many directions a sheet shows."""
    return image.height // SIZE if image else 0


def drawn(editor: Editor, panel: Panel) -> Iterator[Image.Image]:
    """The sheet, one row longer each time. To be run in the editor's turn: each step renders two pictures."""
    everything = sorted(semantics.shown(editor, panel), key=lambda each: each.row)
    image = Image.new("RGB", (2 * SIZE, SIZE * len(everything)))
    latents = editor.sample(editor.domain.seeds[0], CALM).latents
    for each in everything:
        ends = (max(-STRENGTH, each.direction.low), min(STRENGTH, each.direction.high))
        for column, strength in enumerate(ends):
            with torch.no_grad():
                moved = latents + strength * each.direction.step(latents)
                picture = to_pil(editor.generator.render(moved, preview=True))[0]
            image.paste(
                picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS), (column * SIZE, each.row * SIZE)
            )
        yield image.crop((0, 0, 2 * SIZE, SIZE * (each.row + 1)))


def keep(editor: Editor, panel: Panel, image: Image.Image, folder: Path | None = None) -> Path:
    """Stores a finished sheet, in the cache unless told otherwise."""
    file = (folder or _kept()) / _name(editor, panel)
    file.parent.mkdir(parents=True, exist_ok=True)
    scratch = file.with_suffix(".part")
    image.save(scratch, "WEBP", quality=80, method=6)
    scratch.replace(file)
    return file


def url(image: Image.Image | None) -> str:
    """For the page; empty for none."""
    if image is None:
        return ""
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=80, method=2)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode()


def _name(editor: Editor, panel: Panel) -> str:
    key = naming.key(editor.generator.fingerprint, semantics.source(editor, panel))
    if panel.keep:
        key += "_" + hashlib.sha256("\n".join(panel.keep).encode()).hexdigest()[:12]
    return f"{editor.name}_{key}.webp"


def _kept() -> Path:
    return cache.folder() / "thumbnails"
