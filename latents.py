"""Latents on disk: `.npz` with their origin, `.npy` in and out for other tools. Nothing here ever unpickles.

A file holds W+ codes (n, layers, dim) as float32, and the delta of their decoder if they have one. What other
tools write is read too: one code (layers, dim), W codes (n, dim) or (dim,), which are broadcast to every
layer.
"""

import io
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents
from backends.decoders import Stored
from backends.generators import Generator

DELTA = "delta/"  # before the names of a decoder's tensors
MOST_VALUES = 64 * 1024 * 1024  # as float32 256 MiB, some thousand codes: more is a mistake


class LatentsError(ValueError):
    """A file or array that holds no usable latents; the message says what would have worked."""


@dataclass(frozen=True)
class Saved:
    """What a latents file says."""

    values: Float[Tensor, "..."]  # as stored: see `fit`
    domain: str = ""  # name of the domain's YAML; empty when unknown (.npy)
    fingerprint: str = ""  # Generator.fingerprint of the generator that they belong to; empty when unknown
    names: tuple[str, ...] = ()  # one a code: the photograph's file name or "seed 7"
    decoder: str = ""  # name of the decoder that draws them, on the generator above; empty = that generator
    delta: dict[str, Tensor] = field(default_factory=dict)  # of the decoder

    def decoding(self, generator: Generator) -> Generator:
        """`generator`, or the decoder on it that these latents were made for. Raises DecoderError."""
        return Stored(self.fingerprint, self.decoder, self.delta).restored(generator)


def save(
    target: Path | IO[bytes], latents: Latents, domain: str, generator: Generator, names: list[str]
) -> None:
    """Write `.npz` (or `.npy`, which keeps the values only, when the file name says so).

    `generator` is what decodes them: of a `Decoder` the delta is kept, too. Raises LatentsError when `.npy`
    would lose it.
    """
    values = latents.detach().cpu().float().numpy()
    stored = Stored.of(generator)
    if isinstance(target, Path) and target.suffix == ".npy":
        if stored.decoder:
            raise LatentsError(
                "these latents have a decoder of their own, which .npy cannot hold; save them as .npz"
            )
        np.save(target, values, allow_pickle=False)
        return
    origin = {"domain": domain, "fingerprint": stored.fingerprint, "decoder": stored.decoder}
    texts = {key: np.asarray(text) for key, text in origin.items()}
    arrays = {DELTA + name: tensor.detach().cpu().numpy() for name, tensor in (stored.delta or {}).items()}
    np.savez(target, latents=values, names=np.asarray(names, dtype=np.str_), **texts, **arrays)  # type: ignore[arg-type]


def load(source: Path | bytes) -> Saved:
    """Read `.npz` or `.npy`, told apart by content; executes nothing from the file.

    Raises LatentsError, and OSError when there is no such file.
    """
    content = source if isinstance(source, bytes) else _bounded(source)
    try:
        if content[:6] == b"\x93NUMPY":
            return Saved(_numbers(_array(io.BytesIO(content))))
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            arrays = {name: _member(archive, name) for name in archive.namelist() if name.endswith(".npy")}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, LatentsError):
            raise
        raise LatentsError(
            "not a latents file; expected .npz or .npy with (n, layers, dim) numbers"
        ) from error
    if "latents.npy" not in arrays:
        found = ", ".join(name.removesuffix(".npy") for name in arrays) or "nothing"
        raise LatentsError(f"this .npz has no array called 'latents' (it has: {found})")
    names = arrays.get("names.npy", np.asarray([], dtype=np.str_)).ravel()
    return Saved(
        _numbers(arrays["latents.npy"]),
        domain=_text(arrays, "domain"),
        fingerprint=_text(arrays, "fingerprint"),
        names=tuple(str(name) for name in names),
        decoder=_text(arrays, "decoder"),
        delta={
            name.removeprefix(DELTA).removesuffix(".npy"): _tensor(array)
            for name, array in arrays.items()
            if name.startswith(DELTA)
        },
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
    if path.stat().st_size > 4 * MOST_VALUES:
        raise LatentsError(f"{path.name} is larger than any latents file ({4 * MOST_VALUES >> 20} MiB)")
    return path.read_bytes()


def _member(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(name) as stream:
        return _array(stream)


def _array(stream: IO[bytes]) -> np.ndarray:
    """One .npy, its header checked before anything of its size is read: an object array would be a pickle."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise LatentsError(f".npy version {version} is not supported; save with numpy.save or numpy.savez")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    count = int(np.prod(shape, dtype=np.float64))
    if dtype.hasobject:
        raise LatentsError("this file holds pickled Python objects, which are not read; save plain numbers")
    if min(shape, default=0) < 0 or dtype.itemsize * count > 8 * MOST_VALUES:
        raise LatentsError(f"an array of shape {shape} is larger than any latents file")
    data = stream.read(dtype.itemsize * count)
    if len(data) < dtype.itemsize * count:
        raise LatentsError("this file is cut short")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def _numbers(array: np.ndarray) -> Float[Tensor, "..."]:
    if array.dtype.kind not in "fiu":
        raise LatentsError(f"latents must be numbers, not {array.dtype}")
    values = torch.from_numpy(array.astype(np.float32))
    if not torch.isfinite(values).all():
        raise LatentsError("latents hold values that are not finite (nan or inf)")
    return values


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor of a delta, in the dtype it was saved in."""
    if array.dtype not in (np.float32, np.float16, np.int8, np.uint8):
        raise LatentsError(f"a decoder's delta holds numbers of 8, 16 or 32 bits, not {array.dtype}")
    return torch.from_numpy(array.copy())


def _text(arrays: dict[str, np.ndarray], key: str) -> str:
    array = arrays.get(f"{key}.npy")
    return str(array) if array is not None and array.dtype.kind == "U" and array.ndim == 0 else ""
