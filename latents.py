"""Latents on disk: `.npz` with their origin, `.npy` in and out for other tools. Nothing here ever unpickles.

A file holds W+ codes (n, layers, dim) as float32. What other tools write is read too: one code (layers, dim),
W codes (n, dim) or (dim,), which are broadcast to every layer.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents, untrusted

MOST_BYTES = 256 << 20  # of numbers as float32: some thousand codes; more is a mistake
NAME = 200  # characters of a name that are kept
MEMBERS = ("latents", "domain", "fingerprint", "names")  # that are read


class LatentsError(ValueError):
    """A file or array that holds no usable latents; the message says what would have worked."""


@dataclass(frozen=True)
class Saved:
    """What a latents file says."""

    values: Float[Tensor, "..."]  # as stored: see `fit`
    domain: str = ""  # name of the domain's YAML; empty when unknown (.npy)
    fingerprint: str = ""  # Generator.fingerprint of the generator that they belong to; empty when unknown
    names: tuple[str, ...] = ()  # one a code: the photograph's file name or "seed 7"


def save(target: Path | IO[bytes], latents: Latents, domain: str, fingerprint: str, names: list[str]) -> None:
    """Write `.npz` (or `.npy`, which keeps the values only, when the file name says so)."""
    values = latents.detach().cpu().float().numpy()
    if isinstance(target, Path) and target.suffix == ".npy":
        np.save(target, values, allow_pickle=False)
        return
    origin = {"domain": domain, "fingerprint": fingerprint}
    texts = {key: np.asarray(text) for key, text in origin.items()}
    np.savez(target, latents=values, names=np.asarray(names, dtype=np.str_), **texts)  # type: ignore[arg-type]


def load(source: Path | bytes) -> Saved:
    """Read `.npz` or `.npy`, told apart by content; executes nothing from the file.

    Raises LatentsError, and OSError when there is no such file.
    """
    content = source if isinstance(source, bytes) else _bounded(source)
    try:
        if content[:6] == b"\x93NUMPY":
            return Saved(_numbers(untrusted.array(io.BytesIO(content), MOST_BYTES)))
        arrays = untrusted.arrays(content, MEMBERS.__contains__, MOST_BYTES)
    except untrusted.FileError as error:
        raise LatentsError(
            f"not a latents file (.npz or .npy with (n, layers, dim) numbers): {error}"
        ) from error
    if "latents" not in arrays:
        raise LatentsError("this .npz has no array called 'latents'")
    values = _numbers(arrays["latents"])
    return Saved(
        values,
        domain=_text(arrays, "domain"),
        fingerprint=_text(arrays, "fingerprint"),
        names=_names(arrays.get("names"), len(values) if values.dim() == 3 else 1),
    )


def fit(values: Float[Tensor, "..."], layers: int, dim: int) -> Latents:
    """`values` as (n, layers, dim). A (layers, dim) array is one W+ code, (n, dim) or (dim,) are W codes.

    Raises LatentsError when the shape belongs to another generator.
    """
    shape = tuple(values.shape)
    if shape[-1:] != (dim,) or len(shape) > 3 or 0 in shape:
        raise LatentsError(f"latents of shape {shape} do not fit: this generator reads (n, {layers}, {dim})")
    if len(shape) == 1 or (len(shape) == 2 and shape[0] != layers):
        return values.reshape(-1, 1, dim).repeat(1, layers, 1)
    if len(shape) == 3 and shape[1] == 1:
        return values.repeat(1, layers, 1)
    if shape[-2] != layers:  # pyright: ignore[reportGeneralTypeIssues]
        raise LatentsError(f"latents of shape {shape} have {shape[-2]} layers; this generator has {layers}")  # pyright: ignore[reportGeneralTypeIssues]
    return values.reshape(-1, layers, dim)


def _bounded(path: Path) -> bytes:
    if path.stat().st_size > MOST_BYTES:
        raise LatentsError(f"{path.name} is larger than any latents file ({MOST_BYTES >> 20} MiB)")
    return path.read_bytes()


def _numbers(array: np.ndarray) -> Float[Tensor, "..."]:
    if array.dtype.kind not in "fiu":
        raise LatentsError(f"latents must be numbers, not {array.dtype}")
    values = torch.from_numpy(array.astype(np.float32))
    if not torch.isfinite(values).all():
        raise LatentsError("latents hold values that are not finite (nan or inf)")
    return values


def _text(arrays: dict[str, np.ndarray], key: str) -> str:
    array = arrays.get(key)
    return "".join(_texts(array, 1)) if array is not None and array.ndim == 0 else ""


def _names(array: np.ndarray | None, count: int) -> tuple[str, ...]:
    return () if array is None else _texts(array, count)


def _texts(array: np.ndarray, most: int) -> tuple[str, ...]:
    """The first `most` texts of an array, each cut to what a line can show. Raises LatentsError."""
    try:
        texts = [str(text) for text in array.ravel()[:most]] if array.dtype.kind == "U" else []
    except ValueError as error:  # numbers that are no characters
        raise LatentsError("its names or its origin are no text") from error
    return tuple(untrusted.printable(text, NAME) for text in texts)
