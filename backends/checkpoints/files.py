"""The shells of a checkpoint: PyTorch's zip and its older stream, plain pickles, safetensors.

Files are mapped, not read: opening one costs its directory, and a tensor's pages come in when it is used.
"""

import io
import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from backends.checkpoints import pickles
from backends.checkpoints.objects import CheckpointError, Storage
from backends.untrusted import FileError, archive

ENTRIES = 20_000  # of a zip; PyTorch writes one per tensor
DIRECTORY = 4 << 20  # bytes, of that many entries
# the first pickle of PyTorch's older files: a magic number
STREAM = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
SUPPORTED = "PyTorch checkpoints (.pt, .pth, .bin), NVIDIA's pickles (.pkl) and .safetensors"
FOREIGN = [
    (b"\x93NUMPY", "a NumPy array: a boundary or a latent, not a network"),
    (b"\x89HDF", "an HDF5 (Keras) file"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"<", "a web page: the download was answered with a log-in or quota page, fetch the file again"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded"),
]


def read(path: Path) -> Any:
    """The plain data of a checkpoint; tensors are `pickles.Array`, or Tensor in safetensors.

    Nothing in the file is executed. Raises CheckpointError saying what the file is instead.
    """
    try:
        with path.open("rb") as file:
            # copied on write, so that nobody can change the file through a tensor
            size = file.seek(0, 2)
            stream = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size else None
        return _parsed(path, stream, memoryview(stream or b""))
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}") from error
    except FileError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def _parsed(path: Path, stream: Any, data: memoryview) -> Any:
    start = bytes(data[:32])
    if start.startswith(b"PK"):
        return _zip(stream, data)
    if start.startswith(STREAM):
        return _stream(stream, data, _nested)
    if len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return pickles.read(stream, len(data), nested=_nested)
    if start[8:9] == b"{":
        try:
            return load_file(path)
        except SafetensorError as error:
            raise CheckpointError(f"a safetensors file that is cut off or damaged: {error}") from error
    found = next((what for magic, what in FOREIGN if start.startswith(magic)), None)
    if bytes(data[257:262]) == b"ustar":
        found = "a tar archive (torch of 2016, or a folder packed by hand): unpack it or save it again"
    found = found or (f"a file that starts with {start[:8].hex(' ')}" if start else "an empty file")
    raise CheckpointError(f"this is {found}. Supported: {SUPPORTED}")


def _zip(stream: Any, data: memoryview) -> Any:
    """PyTorch since 1.6: `<name>/data.pkl`, and a stored (never compressed) entry per storage."""
    with archive(stream, DIRECTORY) as opened:
        entries = opened.infolist()
    if len(entries) > ENTRIES or sum(entry.file_size for entry in entries) > len(data):
        raise CheckpointError("a zip whose content is larger than itself: made to exhaust memory")
    roots = [entry.filename[: -len("data.pkl")] for entry in entries if entry.filename.endswith("data.pkl")]
    if len(roots) != 1:
        names = ", ".join(entry.filename[:40] for entry in entries[:4])
        raise CheckpointError(f"a zip without one data.pkl, so not PyTorch's; it holds: {names or 'nothing'}")
    members = {entry.filename.removeprefix(roots[0]): entry for entry in entries}
    if "byteorder" in members and bytes(_member(data, members["byteorder"])) != b"little":
        raise CheckpointError("a checkpoint of a big-endian machine")
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Any:
        kind, key, count = _identifier(identifier)
        if key not in storages:
            entry = members.get(f"data/{key}")
            if entry is None:
                raise CheckpointError(f"the file lacks the data of storage {key[:40]!r}: it is cut off")
            storages[key] = Storage(kind, count, _numbers(_member(data, entry), kind, count))
        return storages[key]

    pickle = bytes(_member(data, members["data.pkl"]))
    return pickles.read(io.BytesIO(pickle), len(data), persistent, _nested)


def _member(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """The bytes of an entry, in place."""
    if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
        raise CheckpointError("a zip with compressed or encrypted entries; PyTorch stores them as they are")
    head = bytes(data[entry.header_offset : entry.header_offset + 30])
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise CheckpointError("a zip whose directory does not fit its content")
    name, extra = struct.unpack("<HH", head[26:30])
    start = entry.header_offset + 30 + name + extra
    if start + entry.file_size > len(data):
        raise CheckpointError(f"the entry {entry.filename[:40]!r} is cut off")
    return data[start : start + entry.file_size]


def _stream(stream: Any, data: memoryview, nested: pickles.Nested) -> Any:
    """PyTorch before 1.6: magic number, version, system, the object, its storages' keys and contents."""
    stream.seek(len(STREAM))
    for _ in range(2):
        pickles.read(stream, len(data))
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Any:
        if isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module":
            return identifier[1]  # the class of a module, which torch stored with its source code
        kind, key, count = _identifier(identifier)
        if len(identifier) > 5 and identifier[5] is not None:
            raise CheckpointError("a storage that is a part of another; save it again with a newer torch")
        return storages.setdefault(key, Storage(kind, count))

    result = pickles.read(stream, len(data), persistent, nested)
    keys = pickles.read(stream, len(data))
    position = stream.tell()
    for key in keys if isinstance(keys, list) else []:
        storage = storages.get(key) if isinstance(key, str) else None
        if storage is None or position + 8 > len(data):
            raise CheckpointError("the storages behind the pickle are cut off")
        end = position + 8 + storage.count * storage.dtype.itemsize
        if struct.unpack("<q", data[position : position + 8])[0] != storage.count or end > len(data):
            raise CheckpointError(f"storage {key[:40]!r} is cut off")
        # a copy, as they do not lie at multiples of their size
        storage.data = _numbers(data[position + 8 : end], storage.dtype, storage.count).clone()
        position = end
    if any(storage.data is None for storage in storages.values()):
        raise CheckpointError("the storages behind the pickle are cut off")
    return result


def _nested(data: Any) -> Storage:
    """The storage that a whole older checkpoint inside a pickle consists of."""
    if not isinstance(data, bytes | bytearray) or data[: len(STREAM)] != STREAM:
        raise CheckpointError("a tensor in a form that is not PyTorch's")
    # in which no further one may be nested, or that could go on until the stack overflows
    storage = _stream(io.BytesIO(data), memoryview(bytearray(data)), None)
    if not isinstance(storage, Storage):
        raise CheckpointError("a nested checkpoint that is not one storage")
    return storage


def _identifier(identifier: Any) -> tuple[torch.dtype, str, int]:
    """(type, key, count) of ('storage', type, key, device, count, ...); any device becomes the CPU."""
    if not isinstance(identifier, tuple) or len(identifier) < 5 or identifier[0] != "storage":
        raise CheckpointError("a reference to something else than a storage")
    _, kind, key, _, count = identifier[:5]
    if not isinstance(key, str) or type(count) is not int or not 0 <= count < 2**48:
        raise CheckpointError("a storage with an impossible size")
    return pickles.storage_type(kind), key, count


def _numbers(data: memoryview, kind: torch.dtype, count: int) -> torch.Tensor:
    if count * kind.itemsize > len(data):
        raise CheckpointError(
            f"a storage of {count:,} numbers in {len(data):,} bytes: cut off or made to exhaust memory"
        )
    return torch.frombuffer(data, dtype=kind, count=count) if count else torch.empty(0, dtype=kind)
