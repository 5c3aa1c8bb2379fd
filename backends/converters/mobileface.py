"""MobileFace: TensorFlow.js' graph model of the package `human-models` -> the state dict of our network.

A graph model is a JSON with a list of weights, whose numbers, four bytes each, follow each other in the
`.bin`. Every size is checked against the bytes that are there; the graph is the network's, and not read.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from backends.converters import Converter
from backends.networks.mobileface import MobileFace as Network
from backends.untrusted import FileError

LIMIT = 2**20  # bytes of the JSON; it has 33 KB
DTYPES = {"float32": "<f4", "int32": "<i4"}
WRONG = "not the MobileFace of human-models"


class MobileFace(Converter):
    """State dict of networks.mobileface.MobileFace."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        description, content = files["mobileface.json"], files["mobileface.bin"]
        if description.stat().st_size > LIMIT:
            raise FileError(f"{WRONG}: a description of {description.stat().st_size} bytes")
        found = read(description.read_bytes(), content.read_bytes())
        try:
            state = _state(found)
        except (KeyError, RuntimeError) as error:
            raise FileError(f"{WRONG}: {error}") from error
        expected = {name: value.shape for name, value in Network().state_dict().items()}
        if {name: value.shape for name, value in state.items()} != expected:
            raise FileError(f"{WRONG}: its tensors have other shapes")
        return state


def read(description: bytes, content: bytes) -> dict[str, Tensor]:
    """The weights of a graph model by name. Raises FileError."""
    try:
        [group] = json.loads(description)["weightsManifest"]
        listed = [
            (str(each["name"]), [int(side) for side in each["shape"]], DTYPES[each["dtype"]])
            for each in group["weights"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise FileError(f"{WRONG}: no list of weights ({error})") from error
    found, at = {}, 0
    for name, shape, dtype in listed:
        size = 4 * math.prod(shape)
        if min(shape, default=0) < 0 or at + size > len(content):
            raise FileError(f"{WRONG}: {name!r} lies outside the file")
        found[name] = torch.from_numpy(np.frombuffer(content[at : at + size], dtype).reshape(shape).copy())
        at += size
    if at != len(content):
        raise FileError(f"{WRONG}: {len(content) - at} bytes are left over")
    return found


def _state(found: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Our names, and PyTorch's order of axes. Raises KeyError, and RuntimeError for other shapes."""
    kernel = found["dense/kernel"].reshape(4, 4, -1, 256).permute(3, 2, 0, 1).flatten(1)  # (256, 2048)
    state = {
        "stem.weight": found["conv1_weight"].permute(3, 2, 0, 1),
        "stem.slope": found["prelu1_gamma"],
        "embedding.weight": kernel * found["batchnorm0/mul"][:, None],
        "embedding.bias": found["batchnorm0/sub"],
    }
    for number in range(4):
        theirs, ours = f"stage{number + 1}_unit1", f"stages.{number}"
        state[f"{ours}.mix"] = found[f"{theirs}_conv0_0_weight"].permute(3, 2, 0, 1)
        for k, (name, part) in enumerate((("conv0_1", "halve"), ("conv1", "first"), ("conv2", "second"))):
            state[f"{ours}.{part}.weight"] = found[f"{theirs}_{name}_df"].permute(2, 3, 0, 1)
            state[f"{ours}.{part}.slope"] = found[f"{theirs}_prelu{k}_gamma"]
    return {name: value.contiguous() for name, value in state.items()}
