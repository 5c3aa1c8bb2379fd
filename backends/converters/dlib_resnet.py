"""dlib's face recognition network: `.dat` -> state dict of `backends.networks.dlib_resnet.FaceResNet`.

dlib's serialization (dlib/serialize.h) writes an integer as a control byte (low four bits: how many bytes
follow, top bit: the sign) and those bytes, little end first; a string as its length and its bytes; a
tensor as the integer 2, its four sizes and raw little-endian float32. The layers follow each other from
the input to the embedding, each behind its type's name, so the file is read as that known sequence: find
the next name close by, read the tensor behind it.
"""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backends.converters import Converter
from backends.networks.dlib_resnet import FaceResNet
from backends.untrusted import FileError

GAP = 400  # bytes that may lie between one layer's tensor and the next layer's name (seen: 214)
WRONG = "not dlib's face recognition network"


class Reader:
    """A cursor over the bytes; every read is checked against their end.

    Raises FileError, saying at which byte, for anything that is not as expected.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if not 0 <= count <= len(self.data) - self.at:
            raise FileError(f"{WRONG}: {count} bytes wanted at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self) -> int:
        control = self.take(1)[0]
        size = control & 0x0F
        if not 1 <= size <= 8 or control & 0x70:
            raise FileError(f"{WRONG}: no integer at byte {self.at - 1}")
        value = int.from_bytes(self.take(size), "little")
        return -value if control & 0x80 else value

    def seek(self, name: str) -> None:
        """Move behind the next layer name `name`, which must start within `GAP` bytes."""
        record = bytes([1, len(name)]) + name.encode("ascii")
        found = self.data.find(record, self.at, self.at + GAP + len(record))
        if found < 0:
            raise FileError(f"{WRONG}: no {name!r} layer after byte {self.at}")
        self.at = found + len(record)

    def tensor(self, count: int) -> Tensor:
        """A tensor of `count` numbers, flat."""
        version, *sizes = [self.integer() for _ in range(5)]
        if version != 2 or min(sizes) < 0 or math.prod(sizes) != count:
            raise FileError(f"{WRONG}: {count} numbers expected before byte {self.at}, not {sizes}")
        values = torch.from_numpy(np.frombuffer(self.take(4 * count), "<f4").astype(np.float32))
        if not values.isfinite().all():
            raise FileError(f"{WRONG}: a number before byte {self.at} is not finite")
        return values


def parse(data: bytes) -> dict[str, Tensor]:
    """State dict of `FaceResNet`, affine layers folded into the convolutions before them.

    Raises FileError when `data` is not this very network.
    """
    reader = Reader(data)
    reader.seek("loss_metric_2")
    reader.seek("input_rgb_image_sized")
    shapes = {name: value.shape for name, value in FaceResNet().state_dict().items()}
    state = {}
    for name in [name.removesuffix(".bias") for name in shapes if name.endswith(".bias")]:
        shape = shapes[f"{name}.weight"]
        reader.seek("con_4")
        weight, bias = reader.tensor(shape.numel() + shape[0]).split([shape.numel(), shape[0]])
        reader.seek("affine_")
        scale, shift = reader.tensor(2 * shape[0]).split(shape[0])
        state[f"{name}.weight"] = weight.view(shape) * scale[:, None, None, None]
        state[f"{name}.bias"] = bias * scale + shift
    reader.seek("fc_2")
    outputs, inputs = reader.integer(), reader.integer()
    if shapes["embedding.weight"] != (outputs, inputs):
        raise FileError(f"{WRONG}: an embedding from {inputs} to {outputs} numbers")
    state["embedding.weight"] = reader.tensor(inputs * outputs).view(inputs, outputs).T.contiguous()
    return state


class DlibResNet(Converter):
    """Reads the one `.dat` file; nothing in it is executed."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        [file] = files.values()
        return parse(file.read_bytes())
