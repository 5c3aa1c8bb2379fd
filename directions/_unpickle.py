"""Reads `.npy` files whose content is a pickle, as numpy writes dicts, without ever running what they say.

A pickle is a program that calls whatever importable names it lists. Here every name it may list stands for an
inert record of this module, so that the worst a hostile file can do is to be refused.
"""

import io
import pickle
import pickletools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

LIMIT = 64 * 2**20  # bytes of a file; published directions take at most a few hundred kilobytes
ORDERS = ("<", ">", "|", "=")
KINDS = {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1", "O8"}


class UnsafeFile(ValueError):
    """A pickle that holds anything but arrays, plain containers, numbers and text."""


@dataclass
class _Kind:
    """Stands for numpy.dtype: only notes what it is told."""

    code: str = ""
    order: str = "<"

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ORDERS:
            raise UnsafeFile("an array of an unknown kind")
        self.order = state[1]


class _Array:
    """Stands for numpy.ndarray."""

    state: Any = None

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def content(self) -> Any:
        """The array, or for an object array the list of what it holds."""
        if not isinstance(self.state, tuple) or len(self.state) != 5:
            raise UnsafeFile("an array without content")
        _, shape, kind, columns_first, data = self.state
        if not isinstance(kind, _Kind) or kind.code not in KINDS:
            raise UnsafeFile("an array of an unknown kind")
        if kind.code == "O8":
            return list(data)
        if not isinstance(data, bytes):
            raise UnsafeFile("an array without bytes")
        flat = np.frombuffer(data, np.dtype(kind.order + kind.code))
        return flat.reshape(shape, order="F" if columns_first else "C").copy()


def _kind(code: Any = "", *_: Any) -> _Kind:
    return _Kind(code if isinstance(code, str) else "")


def _array(*_: Any) -> _Array:
    return _Array()


def _encoded(text: Any, encoding: Any = "latin1") -> bytes:
    """How protocol 2 spells bytes: text in which every character is one byte."""
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafeFile("bytes in an unknown encoding")
    return text.encode("latin1")


KNOWN = {
    ("numpy", "ndarray"): _array,
    ("numpy", "dtype"): _kind,
    ("numpy.core.multiarray", "_reconstruct"): _array,
    ("numpy._core.multiarray", "_reconstruct"): _array,
    ("_codecs", "encode"): _encoded,
}


@dataclass(frozen=True)
class _Name:
    """What a name in the pickle becomes: callable, but nothing can be set on it."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise UnsafeFile("it changes what its names stand for")


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in KNOWN:
            raise UnsafeFile(f"it asks for {module}.{name}, which is neither an array nor plain data")
        return _Name(KNOWN[module, name])

    def persistent_load(self, pid: Any) -> Any:
        raise UnsafeFile("it refers to data outside the file")


class _Plain:
    """Objects with arrays in place of their records; counts them: a small pickle may repeat one endlessly."""

    def __init__(self) -> None:
        self.left = 10_000  # objects; real files hold a handful

    def __call__(self, value: Any) -> Any:
        self.left -= 1
        if self.left < 0:
            raise UnsafeFile("it holds too many objects")
        if isinstance(value, _Array):
            content = value.content()
            return self(content) if isinstance(content, list) else content
        if isinstance(value, dict):
            return {str(key): self(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        if value is None or isinstance(value, (bool, int, float, str, bytes)):
            return value
        raise UnsafeFile(f"it holds a {type(value).__name__}")


def load_npy(data: bytes) -> Any:
    """The array of a `.npy` file, or the plain object that `numpy.save` was given instead of an array.

    Raises UnsafeFile (a ValueError) for pickles with other content, ValueError for damaged files.
    """
    if len(data) > LIMIT:
        raise ValueError(f"larger than {LIMIT >> 20} MB")
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    _, _, kind = header(stream)
    if not kind.hasobject:
        return np.load(io.BytesIO(data), allow_pickle=False)
    program = data[stream.tell() :]
    try:
        for code, argument, _ in pickletools.genops(program):
            if "PUT" in code.name and int(argument or 0) > len(
                program
            ):  # would make the reader allocate as many slots
                raise UnsafeFile("its memo is larger than the file")
        content = _Plain()(_Reader(io.BytesIO(program)).load())
    except UnsafeFile:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise ValueError(f"not a readable pickle: {error}") from error
    return content[0] if isinstance(content, list) and len(content) == 1 else content
