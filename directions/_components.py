"""Numbered directions in files: principal components and factorizations that others publish.

e4e *_pca.pt          {mean, std, comp}: comp (k, 1, dim), std (k)        GANSpace of W
GANSpace .npz         lat_comp (k, 1, dim), lat_stdev (k)                 the same
rosinality factor.pt  {ckpt, eigvec}: eigvec (dim, dim), in columns       SeFa without normalisation
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.checkpoints import files
from backends.checkpoints.formats import tensor
from backends.generators import Generator
from backends.untrusted import arrays
from config import ConfigError
from directions._cache import by_file
from directions._numbered import Components

LIMIT = 256 * 2**20  # bytes of a file; GANSpace's own have at most a few megabytes
ENTRIES = ("comp", "std", "lat_comp", "lat_stdev", "eigvec")  # the arrays that are read


def read(file: str, generator: Generator) -> Components:
    """The directions of a file, for latents of this generator. Raises ConfigError."""
    components = _read(file)
    if (dim := components.vectors.shape[1]) != generator.dim:
        name = Path(file).name
        raise ConfigError(f"{name}: its directions have {dim} numbers, the latents here {generator.dim}")
    return components


@by_file
def _read(path: Path) -> Components:
    content = _arrays(path)
    name = next((name for name in ("comp", "lat_comp", "eigvec") if name in content), None)
    if name is None:
        raise ValueError("it holds none of comp (e4e), lat_comp (GANSpace) and eigvec (rosinality)")
    vectors = content[name].T if name == "eigvec" else content[name]
    if vectors.dim() == 3 and vectors.shape[1] == 1:
        vectors = vectors[:, 0]
    if vectors.dim() != 2 or not vectors.numel() or not vectors.isfinite().all():
        shape = tuple(content[name].shape)
        raise ValueError(f"{name} has shape {shape}; finite (k, dim) or (k, 1, dim) is expected")
    lengths = vectors.norm(dim=1, keepdim=True)
    if not (lengths > 0).all():
        raise ValueError(f"{name} has a direction of length zero")
    stds = content.get("std", content.get("lat_stdev"))
    notes = [f"of {path.name}"] * len(vectors)
    if stds is not None and stds.shape == (len(vectors),):
        notes = [f"standard deviation {value:.3g} in {path.name}" for value in stds.tolist()]
    return Components((vectors / lengths).float(), notes)


def _arrays(path: Path) -> dict[str, Tensor]:
    """The arrays that are of use, in double precision; nothing in the file is executed."""
    if path.suffix == ".npz":
        if path.stat().st_size > LIMIT:
            raise ValueError(f"it has more than {LIMIT >> 20} MB")
        content: Any = arrays(path.read_bytes(), ENTRIES.__contains__, LIMIT)
    elif path.suffix in (".pt", ".pth"):
        content = files.read(path)
    else:
        raise ValueError("use a .pt of e4e or rosinality, or an .npz of GANSpace")
    if not isinstance(content, Mapping):
        raise ValueError(f"it holds a {type(content).__name__} instead of named arrays")
    return {name: value for name in ENTRIES if (value := _tensor(content.get(name))) is not None}


def _tensor(value: object) -> Tensor | None:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return torch.from_numpy(value.astype(np.float64))
    found = tensor(value)
    return None if found is None else found.detach().double()
