"""What readers of other people's files share: an error that is safe to print, `.npy` and `.npz` with limits.

A file of a few kilobytes can claim any size, and compression makes a large one small. Every size is therefore
checked before anything of it is read, and nothing here ever unpickles.
"""

import io
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from config import UserError

HEADER = 10_000  # bytes of the header of a .npy
DIRECTORY = 256 << 10  # bytes of the directory of an .npz
# encrypted, of an unknown method, cut off, or with a wrong checksum
DAMAGED = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError)
RATIO = 64  # compressed arrays of real numbers reach 2; W codes that are repeated for every layer 30


class FileError(UserError):
    """A file that cannot be used; the message says what was found in it and what would have worked."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str, most: int = 1000) -> str:
    """At most `most` characters of `text`, without escape sequences that a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])


def archive(file: Any, directory: int) -> zipfile.ZipFile:
    """Opens a zip whose directory has at most `directory` bytes. Raises FileError.

    `zipfile` reads the whole directory first, and makes of each of its entries an object ten times as large.
    """
    guarded = _Guarded(file, directory)
    try:
        opened = zipfile.ZipFile(guarded)
    except FileError:
        raise
    except DAMAGED as error:  # NotImplementedError is a RuntimeError
        raise FileError(f"a zip file that is cut off or damaged ({error})") from error
    guarded.most = math.inf
    return opened


class _Guarded:
    """A binary file of which at most `most` bytes can be read at a time."""

    def __init__(self, file: Any, most: float) -> None:
        self.file, self.most = file, most
        self.seek, self.tell = file.seek, file.tell

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # the end of the file, with its comment, is read with a size of 64 KB or without one
        if size > max(self.most, 1 << 16):
            raise FileError(f"a zip with a directory of {size:,} bytes: made to exhaust memory")
        return self.file.read() if size < 0 else self.file.read(size)


def array(stream: Any, most: float) -> np.ndarray:
    """The array of a `.npy`: numbers or text, at most `most` bytes of it, counted as float32 if it is less.

    Raises FileError.
    """
    shape, fortran, dtype = header(stream)
    if dtype.hasobject:
        raise FileError("it holds pickled Python objects, which are not read; save plain numbers")
    if dtype.kind not in "fiubU" or not dtype.itemsize:
        raise FileError("it holds something else than numbers")
    count = math.prod(shape)
    if count * max(dtype.itemsize, 4) > most:
        raise FileError(f"an array of shape {shape} is larger than anything that is read here")
    data = stream.read(count * dtype.itemsize)
    if len(data) < count * dtype.itemsize:
        raise FileError("it is cut off")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


def header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and type of a `.npy`, whose data come next in `stream`. Raises FileError."""
    start = stream.read(8)
    version = tuple(start[6:])
    if start[:6] != b"\x93NUMPY" or version not in ((1, 0), (2, 0)):
        raise FileError("it is no .npy of version 1 or 2; save with numpy.save or numpy.savez")
    size = stream.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(size, "little")
    if length > HEADER:
        raise FileError(f"its .npy header has {length:,} bytes")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = read(io.BytesIO(size + stream.read(length)))
    except Exception as error:  # of the parser: a header is a Python expression, and may be nested deeply
        raise FileError("its .npy header is damaged") from error
    if len(shape) > 8 or not all(0 <= n < 2**48 for n in shape):
        raise FileError("it has an impossible shape")
    return shape, fortran, dtype


def arrays(content: bytes, wanted: Callable[[str], bool], most: float) -> dict[str, np.ndarray]:
    """The members of an `.npz` whose names are `wanted`, at most `most` bytes together. Raises FileError."""
    found: dict[str, np.ndarray] = {}
    try:
        with archive(io.BytesIO(content), DIRECTORY) as opened:
            for entry in opened.infolist():
                name = entry.filename.removesuffix(".npy")
                if name != entry.filename and wanted(name):
                    found[name] = _member(opened, entry, most)
                    most -= found[name].nbytes
    except FileError:
        raise
    except DAMAGED as error:
        raise FileError("a zip file that is encrypted, cut off or damaged") from error
    return found


def _member(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, most: float) -> np.ndarray:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FileError("it is compressed in an unusual way; save with numpy.savez or numpy.savez_compressed")
    with opened.open(entry) as stream:
        return array(stream, min(most, RATIO * entry.compress_size + (1 << 20)))
