"""Directions in files: our own `.safetensors`, and those that others publish as `.npy` or `.pt`.

    (dim,) or (1, dim)      one vector, the same on every layer      InterFaceGAN, SeFa, MDDGAN, ReSeFa
    (L, dim), (1, L, dim)   one row per layer                        IDInvert, e4e, steerability
    {boundary, meta_data}   the same with the layers it is for       IDInvert

A `.safetensors` file holds several, by name; its metadata entry `directions` is JSON: name -> layers,
accuracy, limit, note (all optional).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from backends.generators import Generator
from backends.layer_map import LAYER_MAPS
from config import ConfigError, resolve
from directions import parse_layers
from directions._unpickle import load_npy

NOTES = ("layers", "accuracy", "limit", "note")  # what a file may say of each direction


@dataclass(frozen=True)
class Stored:
    """One direction of a file, in double precision; its longest row has length 1."""

    vector: Float[Tensor, "rows dim"]  # rows = 1: the same on every layer
    layers: str = "all"  # those it is meant for
    accuracy: float | None = None  # of the classifier whose normal it is, on held-out samples
    limit: float | None = None  # slider ends, standard deviations of the latents
    note: str = ""

    def rows(self, generator: Generator, name: str) -> Float[Tensor, "layers dim"]:
        """One row per layer of the generator, whatever `layers` says. Raises ConfigError."""
        rows, dim = self.vector.shape
        if dim != generator.dim:
            raise ConfigError(f"direction {name!r} has {dim} numbers a row, the latents here {generator.dim}")
        if rows == 1:
            return self.vector.expand(generator.layers, -1)
        if rows == generator.layers:
            return self.vector
        if (rows, generator.layers) not in LAYER_MAPS:
            raise ConfigError(
                f"direction {name!r} has {rows} rows, this generator {generator.layers} layers; "
                f"use a direction with 1 or {generator.layers} rows"
            )
        return self.vector[list(LAYER_MAPS[rows, generator.layers])]

    def chosen(self, layers: str, generator: Generator) -> list[int]:
        """The layers to edit: those asked for, or if that is "all" those the direction is meant for."""
        if layers.strip().lower() not in ("all", ""):
            return parse_layers(layers, generator.layers, generator.size)
        row_map = LAYER_MAPS.get((len(self.vector), generator.layers))
        if row_map is None:
            return parse_layers(self.layers, generator.layers, generator.size)
        # in the numbers of the generator that the file was made for
        meant = parse_layers(self.layers, len(self.vector), generator.size)
        return [layer for layer, row in enumerate(row_map) if row in meant]


def read(file: str) -> dict[str, Stored]:
    """The directions of a file, by name (that of the file if it holds one). Raises ConfigError.

    `file` is relative to the project's folder unless absolute.
    """
    path = resolve(file)
    readers = {".safetensors": _safetensors, ".npy": _npy, ".pt": _pt, ".pth": _pt}
    if path.suffix not in readers:
        raise ConfigError(f"{path.name}: cannot read directions from it; use one of {', '.join(readers)}")
    if not path.is_file():
        raise ConfigError(f"{path.name}: there is no such file of directions")
    try:
        return readers[path.suffix](path)
    except (ValueError, TypeError, OSError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise ConfigError(f"{path.name}: not a file of directions: {reason}") from error


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
    content = load_npy(path.read_bytes())
    if not isinstance(content, Mapping):
        return {path.stem: _stored(torch.from_numpy(np.asarray(content, dtype=np.float64)))}
    vector, notes = content.get("boundary"), content.get("meta_data")
    if not isinstance(vector, np.ndarray):
        raise ValueError(f"a dict without 'boundary', but with: {', '.join(content) or 'nothing'}")
    layers = notes.get("manipulate_layers") if isinstance(notes, Mapping) else None
    text = ",".join(str(layer) for layer in layers) if isinstance(layers, list) and layers else "all"
    return {path.stem: _stored(torch.from_numpy(vector.astype(np.float64)), text)}


def _pt(path: Path) -> dict[str, Stored]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle raises nearly anything, even KeyError
        raise ValueError("it cannot be read as plain tensors") from error
    if not isinstance(content, Tensor):
        raise ValueError(f"it holds a {type(content).__name__} instead of one tensor")
    return {path.stem: _stored(content)}


def _stored(tensor: Tensor, layers: str = "all", **notes: Any) -> Stored:
    """Checks shape and values; a vector repeated on every row becomes one row."""
    vector = tensor.detach().double()
    vector = vector[0] if vector.dim() == 3 and len(vector) == 1 else torch.atleast_2d(vector)
    if vector.dim() != 2 or not vector.numel():
        shape = tuple(tensor.shape)
        raise ValueError(f"its shape is {shape}; expected (dim,), (1, dim), (L, dim) or (1, L, dim)")
    if not vector.isfinite().all() or not vector.any():
        raise ValueError("its numbers are not finite, or all zero")
    if torch.equal(vector, vector[:1].expand_as(vector)) and layers == "all":
        vector = vector[:1]
    numbers = {key: float(notes.pop(key)) for key in ("accuracy", "limit") if notes.get(key) is not None}
    return Stored(vector / vector.norm(dim=1).max(), str(layers), **numbers, **notes)
