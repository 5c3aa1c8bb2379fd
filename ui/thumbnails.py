"""What each direction does, in two small pictures: a sheet with a row a direction, its two ends side by side.

A sheet takes seconds to minutes to draw, so it is drawn while nobody needs the processor, and kept by
generator and settings of the source, as names are; those of the project's own domains are shipped.
"""

import base64
import hashlib
import io
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from backends import cache
from editor import Editor
from evaluation import naming
from ui import semantics
from ui.state import Panel

SHIPPED = naming.SHIPPED.parent / "thumbnails"
SIZE = 64  # pixels, twice what the page shows for dense screens
MOST_SHEETS = 500  # in the cache
MOST_BYTES = 50_000_000
STRENGTH = 2.0  # standard deviations to either side, or the slider's end if it comes first
TRUNCATION = 0.5  # of the sample: an average face shows an attribute coming and going


@dataclass(frozen=True)
class Sheet:
    """As the page wants it."""

    url: str = ""  # data: URL
    rows: int = 0  # directions that it shows

    @staticmethod
    def of(image: Image.Image) -> "Sheet":
        """Of a sheet that is still being drawn."""
        buffer = io.BytesIO()
        image.save(buffer, "WEBP", quality=80, method=2)
        return Sheet(_url(buffer.getvalue()), rows(image))


def sheet(editor: Editor, panel: Panel) -> Sheet:
    """The sheet of a panel's source, if it was drawn before; its rows may be fewer than the directions."""
    name = _name(editor, panel)
    for file in (SHIPPED / name, _kept() / name):
        try:
            return _read(file, file.stat().st_mtime_ns)
        except (OSError, UnidentifiedImageError):
            continue
    return Sheet()


def rows(image: Image.Image) -> int:
    """How many directions a sheet shows."""
    return image.height // SIZE


@lru_cache(maxsize=32)
def _read(file: Path, changed: int) -> Sheet:
    """Raises OSError for what is no picture. Read again when the file has changed."""
    content = file.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        return Sheet(_url(content), rows(image))


def _url(content: bytes) -> str:
    return "data:image/webp;base64," + base64.b64encode(content).decode()


def drawn(editor: Editor, panel: Panel) -> Generator[Image.Image, None, None]:
    """The sheet, one row longer each time. To be run in the editor's turn: each step renders two pictures."""
    everything = sorted(semantics.shown(editor, panel), key=lambda each: each.row)
    image = Image.new("RGB", (2 * SIZE, SIZE * len(everything)))
    sample = editor.sample(editor.domain.seeds[0], TRUNCATION)
    for each in everything:
        ends = (max(-STRENGTH, each.direction.low), min(STRENGTH, each.direction.high))
        for column, strength in enumerate(ends):
            picture = editor.render(sample, {each.identity: strength}, preview=True)
            small = picture.resize((SIZE, SIZE), Image.Resampling.LANCZOS)
            image.paste(small, (column * SIZE, each.row * SIZE))
        yield image.crop((0, 0, 2 * SIZE, SIZE * (each.row + 1)))


def keep(editor: Editor, panel: Panel, image: Image.Image, folder: Path | None = None) -> Path:
    """Stores a finished sheet, in the cache unless told otherwise."""
    file = (folder or _kept()) / _name(editor, panel)
    file.parent.mkdir(parents=True, exist_ok=True)
    with cache.whole(file) as partial:
        image.save(partial, "WEBP", quality=80, method=6)
    if folder is None:
        _make_room(file.parent)
    return file


def _make_room(folder: Path) -> None:
    """Every list of layers that a visitor types makes a sheet: the oldest go."""
    found = []
    for file in folder.glob("*.webp"):
        with suppress(FileNotFoundError):  # another server uses the folder, too
            found.append((file.stat(), file))
    room = MOST_BYTES
    for place, (known, file) in enumerate(sorted(found, key=lambda each: -each[0].st_mtime_ns)):
        room -= known.st_size
        if place >= MOST_SHEETS or room < 0:
            file.unlink(missing_ok=True)


def _name(editor: Editor, panel: Panel) -> str:
    key = naming.key(editor.generator.fingerprint, semantics.source(editor, panel))
    if panel.keep:
        key += "_" + hashlib.sha256("\n".join(panel.keep).encode()).hexdigest()[:12]
    return f"{editor.name}_{key}.webp"


def _kept() -> Path:
    return cache.folder() / "thumbnails"
