"""Latents on disk: `.npz` with their origin, `.npy` in and out for other tools. Nothing here ever unpickles.

A file holds W+ codes (n, layers, dim) as float32, and the delta of their decoder if they have one. What other
tools write is read too: one code (layers, dim), W codes (n, dim) or (dim,), which are broadcast to every
layer.
"""

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends import Latents, untrusted
from backends.decoders import DELTA, Stored
from backends.generators import Generator
from config import UserError

MOST_BYTES = 256 << 20  # of numbers as float32: some thousand codes; more is a mistake
NAME = 200  # characters of a name that are kept
MEMBERS = ("latents", "domain", "fingerprint", "names", "decoder")  # that are read, beside those of the delta


class LatentsError(UserError):
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
    target: Path | io.BufferedIOBase, latents: Latents, domain: str, generator: Generator, names: list[str]
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
    arrays = {DELTA + name: values for name, values in stored.arrays().items()}
    np.savez(target, latents=values, names=np.asarray(names, dtype=np.str_), **texts, **arrays)  # type: ignore[arg-type]


def load(source: Path | bytes) -> Saved:
    """Read `.npz` or `.npy`, told apart by content; executes nothing from the file.

    Raises LatentsError, and OSError when there is no such file.
    """
    content = source if isinstance(source, bytes) else _bounded(source)
    try:
        if content[:6] == b"\x93NUMPY":
            return Saved(_numbers(untrusted.array(io.BytesIO(content), MOST_BYTES)))
        arrays = untrusted.arrays(content, _wanted, MOST_BYTES)
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
        names=_texts(arrays.get("names"), len(values) if values.dim() == 3 else 1),
        decoder=_text(arrays, "decoder"),
        delta={key.removeprefix(DELTA): _tensor(arrays[key]) for key in arrays if key.startswith(DELTA)},
    )


def fit(values: Float[Tensor, "..."], layers: int, dim: int) -> Latents:
    """`values` as (n, layers, dim). A (layers, dim) array is one W+ code, (n, dim) or (dim,) are W codes.

    Raises LatentsError when the shape belongs to another generator.
    """
    shape = tuple(values.shape)
    if shape[-1:] != (dim,) or len(shape) > 3 or 0 in shape:
        raise LatentsError(f"latents of shape {shape} do not fit: this generator reads (n, {layers}, {dim})")
    single = len(shape) == 2 and shape[0] == layers
    codes = values if len(shape) == 3 else values.reshape(-1, layers if single else 1, dim)
    if codes.shape[1] not in (1, layers):
        raise LatentsError(
            f"latents of shape {shape} have {codes.shape[1]} layers; this generator has {layers}"
        )
    return codes.expand(-1, layers, -1).contiguous()


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


def _wanted(name: str) -> bool:
    return name in MEMBERS or name.startswith(DELTA)


def _tensor(array: np.ndarray) -> Tensor:
    """A tensor of a delta, in the dtype it was saved in."""
    if array.dtype not in (np.float32, np.float16, np.int8, np.uint8):
        raise LatentsError(f"a decoder's delta holds numbers of 8, 16 or 32 bits, not {array.dtype}")
    return torch.from_numpy(array.copy())


def _text(arrays: dict[str, np.ndarray], key: str) -> str:
    return "".join(_texts(arrays.get(key), 1))


def _texts(array: np.ndarray | None, most: int) -> tuple[str, ...]:
    """The first `most` texts of an array, each cut to what a line can show. Raises LatentsError."""
    if array is None or array.dtype.kind != "U":
        return ()
    try:
        texts = [str(text) for text in array.ravel()[:most]]
    except ValueError as error:  # numbers that are no characters
        raise LatentsError("its names or its origin are no text") from error
    return tuple(untrusted.printable(text, NAME) for text in texts)
