"""Files made to run code or to exhaust memory: nothing runs, memory stays small, and the refusal says why."""

import contextlib
import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_checkpoints import nvidia, rosinality

from backends import checkpoints
from backends.checkpoints import CheckpointError, scan

PROTOCOL = b"\x80\x04"


class Evil:
    """Runs a command when Python's own unpickler reads it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        import os

        return os.system, (self.command,)


class EvilState(Evil):
    """Reaches the command through the built-ins, in the state of an object."""

    def __reduce__(self) -> tuple:
        return eval, (f"__import__('os').system({self.command!r})",), {"a": Evil(self.command)}


@pytest.fixture
def sentinel(tmp_path):
    """A file that exists only if something was executed."""
    file = tmp_path / "executed"
    yield file
    assert not file.exists()


def refused(file: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        checkpoints.inspect(file)
    assert str(file.parent) not in str(caught.value)


def test_the_corpus_is_dangerous(sentinel):
    """Python's unpickler does what these files ask for."""
    pickle.loads(pickle.dumps(Evil(f"touch {sentinel}")))
    assert sentinel.exists()
    sentinel.unlink()


@pytest.mark.parametrize("evil", [Evil, EvilState])
@pytest.mark.parametrize("shell", ["pickle", "zip", "stream", "numpy"])
def test_calls_are_not_made(evil, shell, sentinel, tmp_path):
    bomb, file = evil(f"touch {sentinel}"), tmp_path / "file.pt"
    if shell == "pickle":
        file.write_bytes(pickle.dumps({"G_ema": bomb}))
    elif shell == "numpy":
        file.write_bytes(pickle.dumps((bomb, bomb, np.array([bomb, 1], dtype=object))))
    else:
        torch.save({"g_ema": bomb}, file, _use_new_zipfile_serialization=shell == "zip")
    refused(file, "fits no known format|type 'O8'")


@pytest.mark.parametrize(
    "code",
    ["cposix\nsystem\n(S'{}'\ntR.", "(S'{}'\niposix\nsystem\n.", "(cposix\nsystem\nS'{}'\no."],
    ids=["REDUCE", "INST", "OBJ"],
)
def test_old_spellings_of_calls_are_not_made(code, sentinel, tmp_path):
    (tmp_path / "file.pkl").write_bytes(b"\x80\x02" + code.format(f"touch {sentinel}").encode())
    refused(tmp_path / "file.pkl", r"fits no known format.*posix\.system")


def test_a_good_checkpoint_is_read_past_its_bombs(sentinel, tmp_path):
    """Training options of unknown classes are no reason to refuse the weights."""
    state = rosinality(nvidia([8, 8], 8), 2)
    torch.save({"args": Evil(f"touch {sentinel}"), "g_ema": state}, tmp_path / "file.pt")
    assert checkpoints.inspect(tmp_path / "file.pt").size == 8
    assert checkpoints.load(tmp_path / "file.pt")["constant"].shape == (8, 4, 4)


def good(kind: str) -> bytes:
    state = rosinality(nvidia([4, 4], 4), 2)
    stream = io.BytesIO()
    if kind == "pickle":
        pickle.dump({"synthesis.b4.const": np.ones((4, 4)), **nvidia([4, 4], 4)}, stream)
    else:
        torch.save({"g_ema": state}, stream, _use_new_zipfile_serialization=kind == "zip")
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "stream", "pickle"])
def test_cut_and_damaged_files_are_refused_or_read_but_nothing_else(kind, tmp_path):
    """Every tenth of the length, and 20 files with random bytes changed."""
    whole, file = good(kind), tmp_path / "file.pt"
    file.write_bytes(whole)
    assert checkpoints.load(file)["constant"].shape == (4, 4, 4)
    for tenth in range(1, 10):
        file.write_bytes(whole[: len(whole) * tenth // 10])
        refused(file, "cut off|damaged")
    source = np.random.default_rng(0)
    for _ in range(20):
        changed = bytearray(whole)
        for position in source.integers(0, len(whole), 12):
            changed[position] = source.integers(0, 256)
        file.write_bytes(changed)
        with contextlib.suppress(CheckpointError):
            checkpoints.load(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "an empty file"),
        (b"<!DOCTYPE html><html>quota exceeded", "web page"),
        (b"\x93NUMPY\x01\x00", "boundary or a latent"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"\x1f\x8b\x08", "unpack"),
        (b"version https://git-lfs.github.com/spec/v1", "Git LFS"),
        (b"MZ\x90\x00" + bytes(60), "starts with 4d 5a"),
        (bytes(257) + b"ustar", "tar archive"),
        (struct.pack("<Q", 2**40) + b"{}", "safetensors"),
    ],
)
def test_wrong_magic(content, words, tmp_path):
    (tmp_path / "file.pt").write_bytes(content)
    refused(tmp_path / "file.pt", f"{words}.*")


def tensor(shape: tuple, stride: tuple, count: int, numbers: int) -> dict[str, bytes]:
    """Members of a PyTorch zip whose one tensor claims a shape, and whose storage claims `count` numbers."""

    class Claim:
        def __reduce__(self) -> tuple:
            return torch._utils._rebuild_tensor_v2, (Storage(), 0, shape, stride, False, {})

    class Storage:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, obj: Any) -> Any:
            if isinstance(obj, Storage):
                return ("storage", torch.FloatStorage, "0", "cuda:0", count)
            return None

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump({"weight": Claim()})
    return {"x/data.pkl": stream.getvalue(), "x/data/0": bytes(4 * numbers)}


@pytest.mark.parametrize(
    "claim",
    [
        ((2**40,), (1,), 4, 4),
        ((2**30, 2), (0, 0), 4, 4),
        ((4,), (1,), 2**45, 4),
        ((-1,), (1,), 4, 4),
        ((3,), (2,), 4, 4),
    ],
)
def test_tensors_larger_than_their_storage(claim, tmp_path):
    with zipfile.ZipFile(tmp_path / "file.pt", "w") as archive:
        for name, content in tensor(*claim).items():
            archive.writestr(name, content)
    refused(tmp_path / "file.pt", "exhaust memory|cut off|impossible")


def test_zip_bombs(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", bytes(50_000_000))
    refused(tmp_path / "bomb.pt", "larger than itself")
    with zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/data.pkl", b"\x80\x02N.")
    refused(tmp_path / "small.pt", "compressed")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    refused(tmp_path / "other.zip", r"not PyTorch's; it holds: readme\.txt")


TEXT = b"\x8c\x01a"
LIST_OF_TWO = b"h\x00h\x00\x86q\x00"  # a pair of the remembered object, remembered in its place
BOMBS = {
    "deep lists": (PROTOCOL + b"]" * 1000 + b"a" * 999 + b".", "nested"),
    "deep tuples": (PROTOCOL + b")" + b"\x85" * 1000 + b".", "nested"),
    "far memo": (PROTOCOL + b"Nr\xff\xff\xff\xff.", "memo of the pickle is larger"),
    "endless": (PROTOCOL + b"N0" * 2000 + b".", "operations"),
    "laughs": (PROTOCOL + b"Nq\x00" + LIST_OF_TWO * 150 + b"}(K\x01h\x00u.", "no known format"),
    "laughing key": (PROTOCOL + b"Nq\x00" + LIST_OF_TWO * 150 + b"}h\x00" + b"K\x01s.", "dict key"),
    "long text": (PROTOCOL + b"\x8d" + struct.pack("<Q", 2**60) + b".", "cut off"),
    "long bytearray": (PROTOCOL + b"\x96" + struct.pack("<Q", 2**40) + b".", "cut off"),
    "long integer": (PROTOCOL + b"\x8b" + struct.pack("<i", 2**30) + b".", "cut off"),
    "digits": (PROTOCOL + b"I" + b"9" * 4000 + b"\n.", "integer"),
    "extension": (PROTOCOL + b"\x82\x01.", "extension"),
    "underflow": (PROTOCOL + b"aaa.", "empty stack"),
    "opcode": (PROTOCOL + b"\xff.", "opcode .* unknown"),
    "unknown memo": (PROTOCOL + b"h\x07.", "has not made"),
    "outside": (PROTOCOL + TEXT + b"Q.", "outside itself"),
    "copies": (
        PROTOCOL + b"\x8c\x07_codecs\x8c\x06encode\x93q\x01X" + struct.pack("<I", 10**6) + b"a" * 10**6
        + b"\x85q\x020" + b"h\x01h\x02R" * 700 + b".",
        "no known format",
    ),
    "sizes": (PROTOCOL + b"c__builtin__\nset\nX\x02\x00\x00\x00ab\x85R.", "no known format"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_stay_small(name, tmp_path, monkeypatch):
    monkeypatch.setattr(scan, "OPCODES", 3000)  # checking the annotations of 500,000 takes minutes
    content, words = BOMBS[name]
    (tmp_path / "file.pkl").write_bytes(content)
    tracemalloc.start()
    try:
        refused(tmp_path / "file.pkl", words)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000


def test_nested_checkpoints_do_not_nest_further(tmp_path):
    """Storages inside plain pickles are checkpoints of their own; those may hold nothing but the storage."""
    inner = io.BytesIO()
    torch.save(torch.ones(3).untyped_storage(), inner, _use_new_zipfile_serialization=False)

    class Nested:
        def __init__(self, content: bytes) -> None:
            self.content = content

        def __reduce__(self) -> tuple:
            return torch.storage._load_from_bytes, (self.content,)

    (tmp_path / "one.pkl").write_bytes(pickle.dumps({"a": Nested(inner.getvalue())}))
    refused(tmp_path / "one.pkl", "no known format.*a: Storage")
    outer = io.BytesIO()
    torch.save({"b": Nested(inner.getvalue())}, outer, _use_new_zipfile_serialization=False)
    (tmp_path / "two.pkl").write_bytes(pickle.dumps({"a": Nested(outer.getvalue())}))
    refused(tmp_path / "two.pkl", "calls for more than its data")
