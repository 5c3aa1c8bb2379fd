"""Directions in files: our own `.safetensors`, and those that others publish as `.npy` or `.pt`.

    (dim,) or (1, dim)      one vector, the same on every layer      InterFaceGAN, SeFa, MDDGAN, ReSeFa
    (L, dim), (1, L, dim)   one vector a layer                       IDInvert, e4e, steerability
    {boundary, meta_data}   the same with the layers it is for       IDInvert

A `.safetensors` file holds several, by name; its metadata entry `directions` is JSON: name -> layers,
accuracy, limit, note, space (all optional; the space is "w", which includes W+, or "z").
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from backends.checkpoints import CheckpointError, files, pickles
from backends.checkpoints.formats import found
from backends.checkpoints.formats import tensor as tensor_of
from backends.checkpoints.objects import Array
from backends.generators import Generator
from backends.layer_map import LAYER_MAPS
from backends.untrusted import array, header
from config import ConfigError
from directions import parse_layers
from directions._cache import by_file
from directions._statistics import mapped

LIMIT = 64 << 20  # bytes of a file; published directions take at most a few hundred kilobytes
LONGEST = 1 << 20  # numbers of a direction
NOTES = ("layers", "accuracy", "limit", "note", "space")  # what a file may say of each direction


@dataclass(frozen=True)
class Stored:
    """One direction of a file, in double precision; its longest layer has length 1."""

    vector: Float[Tensor, "stored dim"]  # 1: the same on every layer
    layers: str = "all"  # those it is meant for
    accuracy: float | None = None  # of the classifier whose normal it is, on held-out samples
    limit: float | None = None  # slider ends, standard deviations of the latents
    note: str = ""
    space: str = "w"  # "z": a normal of Z, the mapping's input

    def layered(self, generator: Generator, name: str) -> Float[Tensor, "layers dim"]:
        """The vector on each layer of the generator, whatever `layers` says. Raises ConfigError.

        A photograph has no z that could be moved, so a normal of Z becomes the mean change of W along it.
        """
        stored, dim = self.vector.shape
        if self.space == "z":
            if (stored, dim) != (1, generator.z_dim):
                raise ConfigError(
                    f"direction {name!r} is of a Z with {dim} numbers, Z has {generator.z_dim} here"
                )
            return mapped(generator, tuple(self.vector[0].tolist())).double()
        if dim != generator.dim:
            raise ConfigError(f"direction {name!r} has {dim} numbers, the latents here {generator.dim}")
        if stored in (1, generator.layers):
            return self.vector.expand(generator.layers, -1)
        if (stored, generator.layers) not in LAYER_MAPS:
            raise ConfigError(
                f"direction {name!r} has {stored} layers, this generator {generator.layers}; "
                f"use a direction with 1 or {generator.layers} layers"
            )
        return self.vector[list(LAYER_MAPS[stored, generator.layers])]

    def chosen(self, layers: str, generator: Generator) -> list[int]:
        """The layers to edit: those asked for, or if that is "all" those the direction is meant for."""
        if layers.strip().lower() not in ("all", ""):
            return parse_layers(layers, generator.layers, generator.size)
        layer_map = LAYER_MAPS.get((len(self.vector), generator.layers))
        if layer_map is None:
            return parse_layers(self.layers, generator.layers, generator.size)
        # in the numbers of the generator that the file was made for
        meant = parse_layers(self.layers, len(self.vector), generator.size)
        return [layer for layer, taken in enumerate(layer_map) if taken in meant]


def read(file: str) -> dict[str, Stored]:
    """The directions of a file, by name (that of the file if it holds one). Raises ConfigError.

    `file` is relative to the project's folder unless absolute.
    """
    return dict(_read(file))


@by_file
def _read(path: Path) -> dict[str, Stored]:
    readers = {".safetensors": _safetensors, ".npy": _npy, ".pt": _pt, ".pth": _pt}
    if path.suffix not in readers:
        raise ValueError(f"use one of {', '.join(readers)}")
    if path.stat().st_size > LIMIT:
        raise ValueError(f"it has more than {LIMIT >> 20} MB")
    return readers[path.suffix](path)


def write(file: Path, directions: Mapping[str, Stored]) -> None:
    """Stores directions as `read` reads them from a `.safetensors` file, in single precision."""
    notes = {
        name: {key: getattr(stored, key) for key in NOTES if getattr(stored, key) not in (None, "")}
        for name, stored in directions.items()
    }
    tensors = {name: stored.vector.float().contiguous().clone() for name, stored in directions.items()}
    save_file(tensors, file, {"directions": json.dumps(notes)})


def _safetensors(path: Path) -> dict[str, Stored]:
    with safe_open(path, "pt") as content:
        notes = json.loads((content.metadata() or {}).get("directions", "{}"))
        tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118 - no mapping
    order = [name for name in notes if name in tensors] + [name for name in tensors if name not in notes]
    return {
        name: _stored(tensors[name], **{k: v for k, v in notes.get(name, {}).items() if k in NOTES})
        for name in order
    }


def _npy(path: Path) -> dict[str, Stored]:
    stream = io.BytesIO(path.read_bytes())
    _, _, kind = header(stream)
    if not kind.hasobject:
        stream.seek(0)
        return {path.stem: _stored(torch.from_numpy(array(stream, LIMIT).astype(np.float64)))}
    content = dictionary(stream)
    vector, notes = tensor_of(content.get("boundary")), content.get("meta_data")
    if vector is None:
        raise ValueError(f"it has no array 'boundary', but: {found(content)}")
    layers = notes.get("manipulate_layers") if isinstance(notes, dict) else None
    numbers = [layer for layer in layers if isinstance(layer, int)] if isinstance(layers, list) else []
    return {path.stem: _stored(vector, ",".join(map(str, numbers)) or "all")}


def dictionary(stream: io.BytesIO) -> dict[Any, Any]:
    """The dict that `numpy.save` was given instead of an array: the pickle behind the header of a `.npy`.

    Nothing in it is executed. Raises ValueError when it holds something else.
    """
    content = pickles.read(stream, stream.getbuffer().nbytes)
    if isinstance(content, Array) and content.items and len(content.items) == 1:
        content = content.items[0]
    if not isinstance(content, dict):
        raise CheckpointError(f"it holds {found(content)}, which is neither an array nor a dict")
    return content


def _pt(path: Path) -> dict[str, Stored]:
    content = files.read(path)
    vector = tensor_of(content)
    if vector is None:
        raise ValueError(f"it holds {found(content)} instead of one tensor")
    return {path.stem: _stored(vector)}


def _stored(tensor: Tensor, layers: str = "all", **notes: Any) -> Stored:
    """Checks shape and values; a vector that is the same on every layer is stored once."""
    if tensor.numel() > LONGEST:
        raise ValueError(f"it has {tensor.numel():,} numbers; no direction has so many")
    vector = tensor.detach().double()
    vector = vector[0] if vector.dim() == 3 and len(vector) == 1 else torch.atleast_2d(vector)
    if vector.dim() != 2 or not vector.numel():
        shape = tuple(tensor.shape)
        raise ValueError(f"its shape is {shape}; expected (dim,), (1, dim), (L, dim) or (1, L, dim)")
    if not vector.isfinite().all() or not vector.any():
        raise ValueError("its numbers are not finite, or all zero")
    if torch.equal(vector, vector[:1].expand_as(vector)) and layers == "all":
        vector = vector[:1]
    if notes.get("space", "w") not in ("w", "z"):
        raise ValueError(f"it is of the space {notes['space']!r}; expected w or z")
    numbers = {key: float(notes.pop(key)) for key in ("accuracy", "limit") if notes.get(key) is not None}
    return Stored(vector / vector.norm(dim=1).max(), str(layers), **numbers, **notes)
