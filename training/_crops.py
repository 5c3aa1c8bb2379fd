"""Photographs, framed by an aligner once, and which parts of each crop are photograph at all."""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from backends import Images, dataset
from backends.aligners import Aligner, AlignmentError
from backends.cache import whole
from backends.dataset import Data
from config import ConfigError

PLACES = 32  # a side, of the masks
HELD_OUT = 10  # every so many photographs, of the sorted names and from the first on, training never sees one
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Crops:
    """Square pictures, and the share of photograph (against padding) at each place, 0...255."""

    pixels: UInt8[Tensor, "n size size 3"]
    masks: UInt8[Tensor, "n places places"]

    def __len__(self) -> int:
        return len(self.pixels)

    def images(self, indices: list[int]) -> tuple[Images, Float[Tensor, "n places places"]]:
        """The chosen crops in [-1, 1], and their masks, 0...1."""
        return self.pixels[indices].permute(0, 3, 1, 2).float() / 127.5 - 1, self.masks[indices] / 255


def load(data: Data, aligner: Aligner, size: int, file: Path) -> tuple[Crops, Crops]:
    """Crops to train on, and held-out ones: photographs whose number in the sorted names HELD_OUT divides.

    They are kept in `file`. Photographs without a subject are left out. Raises ConfigError when there are
    none at the place that `data` names, or too few.
    """
    if not file.is_file():
        _write(data, aligner, size, file)
    tensors = load_file(file)
    held_out = tensors["number"] % HELD_OUT == 0
    train, test = (Crops(tensors["pixels"][part], tensors["masks"][part]) for part in (~held_out, held_out))
    if not len(train) or not len(test):
        raise ConfigError(f"data.path: {len(tensors['number'])} photographs with a subject are too few")
    log.info("%d crops to train on, %d held out", len(train), len(test))
    return train, test


def _write(data: Data, aligner: Aligner, size: int, file: Path) -> None:
    pixels, masks, numbers = [], [], []
    pairs = sorted(dataset.opened(data), key=lambda pair: pair[0])
    for number, (_, source) in enumerate(tqdm(pairs, "crops", disable=None)):
        photo = Image.open(io.BytesIO(source)) if isinstance(source, bytes) else source
        photo = photo.convert("RGB")
        subjects = aligner.detect(photo)
        if not subjects:
            continue
        try:
            square = aligner.frame(photo, subjects[0])
            crop = aligner.crop(photo, square, size)
        except AlignmentError:
            continue
        pixels.append(torch.from_numpy(np.array(crop)))
        masks.append(torch.from_numpy(255 * square.shown(photo.size, PLACES).astype(np.uint8)))
        numbers.append(number)
    if not pixels:
        raise ConfigError("data.path: the aligner finds no subject in any of the photographs")
    tensors = {"pixels": torch.stack(pixels), "masks": torch.stack(masks), "number": torch.tensor(numbers)}
    with whole(file) as partial:
        save_file(tensors, partial)
