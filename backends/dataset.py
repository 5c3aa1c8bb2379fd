"""Photographs: a folder, a zip archive or a Hugging Face dataset -> square pictures in memory."""

import io
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from tqdm import tqdm

from backends import Images
from config import ConfigError, resolve

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
Bytes = UInt8[Tensor, "n size size 3"]
logger = logging.getLogger(__name__)


@dataclass
class Data:
    """Where the photographs are, and which of them training may see."""

    path: str = ""  # folder, .zip file, or the name of a dataset on the Hugging Face hub
    labels: list[str] = field(default_factory=list)  # only files in folders of these names; empty = all
    holdout: int = 100  # photographs that training never sees, spread evenly over the sorted names
    split: str = "train"  # of a Hugging Face dataset
    column: str = "image"  # of a Hugging Face dataset


@dataclass(frozen=True)
class Photographs:
    """Square 8-bit pictures and the names of their files, in the same order."""

    pixels: Bytes
    names: list[str]

    def __len__(self) -> int:
        return len(self.names)

    def images(self, indices: list[int] | None = None) -> Images:
        """The chosen pictures (all by default) in [-1, 1]."""
        chosen = self.pixels if indices is None else self.pixels[indices]
        return chosen.permute(0, 3, 1, 2).float() / 127.5 - 1

    def spread(self, count: int) -> list[int]:
        """Indices of `count` pictures (0, or more than there are: all), spread evenly."""
        count = min(count or len(self), len(self))
        return [i * len(self) // count for i in range(count)]

    def batches(self, count: int = 0, size: int = 32) -> Iterator[Images]:
        """The pictures of `spread(count)`, in batches of `size`."""
        chosen = self.spread(count)
        for start in range(0, len(chosen), size):
            yield self.images(chosen[start : start + size])


def load(data: Data, size: int) -> tuple[Photographs, Photographs]:
    """The training and the held-out photographs, centre-cropped to `size` x `size` pixels.

    Raises ConfigError when there are no photographs at the place that `data` names, or too few.
    """
    pairs = sorted(opened(data), key=lambda pair: pair[0])
    if len(pairs) < data.holdout + 2:
        raise ConfigError(
            f"data.path: {len(pairs)} pictures found; it takes more than holdout = {data.holdout}"
        )
    pixels = torch.empty(len(pairs), size, size, 3, dtype=torch.uint8)
    for i, (_, source) in enumerate(tqdm(pairs, "photographs", disable=None)):
        pixels[i] = _square(source, size)
    held = held_out(len(pairs), data.holdout)
    kept = sorted({*range(len(pairs))}.difference(held))
    train, test = (Photographs(pixels[part], [pairs[i][0] for i in part]) for part in (kept, held))
    logger.info("%d photographs to train on, %d held out", len(train), len(test))
    return train, test


def held_out(count: int, holdout: int) -> list[int]:
    """Indices of `holdout` of `count` sorted photographs that training never sees, spread evenly."""
    step = count / max(holdout, 1)
    return [int(step * i + step / 2) for i in range(holdout)]


def opened(data: Data) -> Iterator[tuple[str, bytes | Image.Image]]:
    """(name, contents) of every photograph; the name is the path below the folder or inside the archive."""
    place = resolve(data.path)
    if data.path and place.is_dir():
        files = [file for file in place.rglob("*") if _wanted(file.relative_to(place), data.labels)]
        yield from ((str(file.relative_to(place)), file.read_bytes()) for file in files)
    elif data.path and place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            members = [name for name in archive.namelist() if _wanted(Path(name), data.labels)]
            yield from ((name, archive.read(name)) for name in members)
    elif data.path and not place.exists() and not Path(data.path).is_absolute():
        yield from _from_hub(data)
    else:
        raise ConfigError("data.path: no folder and no zip archive there; give one, or the name of a dataset")


def _wanted(path: Path, labels: list[str]) -> bool:
    return path.suffix.lower() in SUFFIXES and (not labels or any(part in labels for part in path.parts[:-1]))


def _from_hub(data: Data) -> Iterator[tuple[str, Image.Image]]:
    try:
        import datasets  # only needed for this source  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ConfigError(
            f"data.path: there is no folder or zip archive {data.path!r} here; to fetch a dataset of that "
            "name install the package `datasets`"
        ) from error
    for i, row in enumerate(datasets.load_dataset(data.path, split=data.split)):
        yield f"{i:08d}", row[data.column]


def _square(source: bytes | Image.Image, size: int) -> UInt8[Tensor, "size size 3"]:
    try:
        photo = Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source
        square = ImageOps.fit(photo.convert("RGB"), (size, size), Image.Resampling.LANCZOS)
    except (UnidentifiedImageError, OSError) as error:
        raise ConfigError("data.path: one of the pictures in it cannot be read") from error
    return torch.frombuffer(bytearray(square.tobytes()), dtype=torch.uint8).view(size, size, 3)


def batch(count: int, seed: int, step: int, size: int, rank: int = 0, ranks: int = 1) -> list[int]:
    """The `size` of `count` photographs that process `rank` of `ranks` sees in a step.

    Every one comes once an epoch, shuffled anew. All follows from the step: nothing has to be stored to
    resume, and processes share out a step's photographs without talking.
    """
    chosen = []
    for place in range((step * ranks + rank) * size, (step * ranks + rank + 1) * size):
        epoch, index = divmod(place, count)
        source = torch.Generator().manual_seed(seed * 100_003 + epoch)
        chosen.append(int(torch.randperm(count, generator=source)[index]))
    return chosen
