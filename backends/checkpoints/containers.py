"""The outer shells of a checkpoint: PyTorch's zip and its older pickle stream, plain pickles, safetensors.

Files are mapped, not read: opening one costs its directory, and a tensor's pages come in when it is used.
"""

import mmap
import struct
import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from backends.checkpoints.objects import CheckpointError, Storage, storage_type
from backends.checkpoints.unpickle import load

ENTRIES = 20_000  # of a zip; PyTorch writes one per tensor
STREAM = (
    b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the first pickle of PyTorch's older files: a magic number
)
SUPPORTED = "PyTorch checkpoints (.pt, .pth, .bin), NVIDIA's pickles (.pkl) and .safetensors"
FOREIGN = [
    (b"\x93NUMPY", "a NumPy array: a boundary or a latent, not a network"),
    (b"\x89HDF", "an HDF5 (Keras) file"),
    (b"\x1f\x8b", "a gzip archive: unpack it first"),
    (b"<", "a web page: the download was answered with a log-in or quota page, fetch the file again"),
    (b"version https://git-lfs", "a Git LFS pointer: the file itself was not downloaded"),
]


def read(path: Path) -> Any:
    """The plain data of a checkpoint; nothing in it is executed.

    Raises CheckpointError saying what the file is instead.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            # copied on write, so that nobody can change the file through a tensor
            data = (
                memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)) if size else memoryview(b"")
            )
    except OSError as error:
        raise CheckpointError(f"{path.name} cannot be read: {error.strerror}") from error
    try:
        return _parsed(path, data)
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error


def _parsed(path: Path, data: memoryview) -> Any:
    start = bytes(data[:32])
    if start.startswith(b"PK"):
        return _zip(path, data)
    if start.startswith(STREAM):
        return _stream(data)
    if len(start) > 2 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return load(data)[0]
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


def _zip(path: Path, data: memoryview) -> Any:
    """PyTorch since 1.6: `<name>/data.pkl`, and a stored (never compressed) entry per storage."""
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise CheckpointError(f"a zip file that is cut off or damaged ({error})") from error
    if len(entries) > ENTRIES or sum(entry.file_size for entry in entries) > len(data):
        raise CheckpointError(
            "a zip whose content is larger than itself: made to exhaust memory, not by PyTorch"
        )
    roots = [entry.filename[: -len("data.pkl")] for entry in entries if entry.filename.endswith("data.pkl")]
    if len(roots) != 1:
        names = ", ".join(entry.filename[:40] for entry in entries[:4])
        raise CheckpointError(f"a zip without one data.pkl, so not PyTorch's; it holds: {names or 'nothing'}")
    members = {entry.filename.removeprefix(roots[0]): entry for entry in entries}
    if "byteorder" in members and bytes(_member(data, members["byteorder"])) != b"little":
        raise CheckpointError("a checkpoint of a big-endian machine")
    storages: dict[str, Storage] = {}

    def persistent(identifier: Any) -> Storage:
        kind, key, count = _identifier(identifier)
        if key not in storages:
            entry = members.get(f"data/{key}")
            if entry is None:
                raise CheckpointError(f"the file lacks the data of storage {key[:40]!r}: it is cut off")
            storages[key] = _storage(_member(data, entry), kind, count)
        return storages[key]

    return load(_member(data, members["data.pkl"]), 0, persistent)[0]


def _member(data: memoryview, entry: zipfile.ZipInfo) -> memoryview:
    """The bytes of an entry, in place."""
    if entry.compress_type != zipfile.ZIP_STORED:
        raise CheckpointError("a zip with compressed entries; PyTorch stores them uncompressed")
    head = bytes(data[entry.header_offset : entry.header_offset + 30])
    if len(head) < 30 or head[:4] != b"PK\x03\x04":
        raise CheckpointError("a zip whose directory does not fit its content")
    name, extra = struct.unpack("<HH", head[26:30])
    start = entry.header_offset + 30 + name + extra
    if start + entry.file_size > len(data):
        raise CheckpointError(f"the entry {entry.filename[:40]!r} is cut off")
    return data[start : start + entry.file_size]


def _stream(data: memoryview, calls: bool = True) -> Any:
    """PyTorch before 1.6: magic number, version, system, the object, its storages' keys and contents."""
    position = len(STREAM)
    for _ in range(2):
        _, position = load(data, position, calls=False)
    storages: dict[str, Storage] = {}
    room = len(data)

    def persistent(identifier: Any) -> Storage:
        nonlocal room
        kind, key, count = _identifier(identifier)
        if key not in storages:
            room -= count * kind.itemsize
            if room < 0:
                raise CheckpointError(
                    "the tensors are larger than the file: it is cut off or made to exhaust memory"
                )
            storages[key] = Storage(torch.empty(count, dtype=kind))  # filled below
        return storages[key]

    result, position = load(data, position, persistent, calls)
    keys, position = load(data, position, calls=False)
    for key in keys if isinstance(keys, list) else []:
        target = storages[key].data if isinstance(key, str) and key in storages else None
        if target is None or position + 8 > len(data):
            raise CheckpointError("the storages behind the pickle are cut off")
        count = struct.unpack("<q", data[position : position + 8])[0]
        content = data[position + 8 : position + 8 + target.nbytes]
        if count != target.numel() or len(content) != target.nbytes:
            raise CheckpointError(f"storage {key[:40]!r} is cut off")
        if count:
            target.copy_(_storage(content, target.dtype, count).data)
        position += 8 + target.nbytes
    return result


def nested_storage(data: memoryview) -> Storage:
    """The storage that a whole older checkpoint inside a pickle consists of."""
    if bytes(data[: len(STREAM)]) != STREAM:
        raise CheckpointError("a tensor in a form that is not PyTorch's")
    storage = _stream(data, calls=False)  # or nesting could go on until the stack overflows
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
    return storage_type(kind), key, count


def _storage(data: memoryview, kind: torch.dtype, count: int) -> Storage:
    if count * kind.itemsize > len(data):
        raise CheckpointError(
            f"a storage of {count:,} numbers in {len(data):,} bytes: cut off or made to exhaust memory"
        )
    return Storage(torch.frombuffer(data, dtype=kind, count=count) if count else torch.empty(0, dtype=kind))
