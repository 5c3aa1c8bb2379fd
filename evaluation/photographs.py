"""Photographs that inverters are compared on: which ones, their crops, and what of a crop they show."""

import hashlib
import logging
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Bool
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from backends import Images, dataset
from backends.aligners import AlignmentError
from backends.losses import resize
from backends.photos import PhotoError, read_photo, to_images, to_pil
from config import ConfigError
from editor import Editor

SIDE = 256  # pixels at which pictures are compared, where the generator's are not smaller
log = logging.getLogger(__name__)

Mask = Bool[Tensor, "side side"]


@dataclass(frozen=True)
class Photograph:
    """One photograph as the inverters get it."""

    name: str  # path below the folder or in the archive
    crop: Image.Image  # aligned, of the generator's size
    seen: Mask  # where the crop shows the photograph; elsewhere the aligner has continued it

    @cached_property
    def images(self) -> Images:
        """What is compared with: the crop at the side of `seen`, in 256 levels as pictures are kept."""
        small = to_pil(shrunk(to_images(self.crop, self.crop.width)))[0]
        return to_images(small, small.width)

    @property
    def stem(self) -> str:
        """Name of the files about it."""
        return "_".join(Path(self.name).with_suffix("").parts)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the crop."""
        return hashlib.sha256(self.crop.tobytes()).hexdigest()


def shrunk(images: Images) -> Images:
    """At most SIDE pixels a side, within [-1, 1]."""
    images = images.clamp(-1, 1)
    return resize(images, SIDE) if images.shape[-1] > SIDE else images


def names(place: Path) -> list[str]:
    """Sorted names of the pictures in a folder, with those below it, or in a zip archive.

    Raises ConfigError when there are none.
    """
    if place.is_dir():
        found = [str(file.relative_to(place)) for file in place.rglob("*") if file.is_file()]
    elif place.is_file() and zipfile.is_zipfile(place):
        with zipfile.ZipFile(place) as archive:
            found = archive.namelist()
    else:
        raise ConfigError(f"--photographs {place}: no folder and no zip archive there")
    pictures = sorted(name for name in found if Path(name).suffix.lower() in dataset.SUFFIXES)
    if not pictures:
        raise ConfigError(f"--photographs {place}: no pictures ({', '.join(dataset.SUFFIXES)}) in it")
    return pictures


def chosen(listed: Sequence[str], count: int = 0, every: int = 1, held_out: int = 0) -> list[str]:
    """`count` (0 = all) of the sorted names, spread evenly over every `every`-th of them, from the first on.

    With `held_out` only those are asked that training with `data.holdout` of the same number does not see.
    Raises ConfigError.
    """
    if every < 1 or count < 0 or held_out < 0 or held_out > len(listed):
        raise ConfigError(
            f"of {len(listed)} photographs none can be chosen with --count {count} --every {every} "
            f"--held-out {held_out}; --every must be at least 1, --held-out at most the number of photographs"
        )
    kept = [listed[i] for i in dataset.held_out(len(listed), held_out)] if held_out else list(listed)
    kept = kept[::every]
    return spread(kept, count or len(kept))


def spread(listed: Sequence[str], count: int) -> list[str]:
    """At most `count` of them, evenly."""
    count = min(count, len(listed))
    return [listed[i * len(listed) // count] for i in range(count)]


def load(editor: Editor, place: Path, wanted: Sequence[str], title: str = "crops") -> Iterator[Photograph]:
    """The named photographs with their largest subject aligned as the domain does it.

    Those that cannot be read, or that show no subject, are left out, with a warning.
    """
    archive = None if place.is_dir() else zipfile.ZipFile(place)
    try:
        for name in tqdm(wanted, title, disable=None, leave=False):
            content = archive.read(name) if archive else (place / name).read_bytes()
            try:
                yield photograph(editor, name, read_photo(content))
            except (PhotoError, AlignmentError) as error:
                log.warning("%s is left out: %s", name, error)
    finally:
        if archive:
            archive.close()


def photograph(editor: Editor, name: str, photo: Image.Image) -> Photograph:
    """The crop around the largest subject. Raises AlignmentError."""
    square = editor.frame(photo)
    crop = editor.crop(photo, square)
    shown = square.shown(photo.size, min(SIDE, crop.width))
    return Photograph(name, crop, torch.from_numpy(shown))
