"""Small files that ask for much memory or time, wherever the project reads files of strangers."""

import io
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from bounded import bounded
from safetensors.torch import save_file
from synthetic_checkpoints import nvidia, rosinality, stylegan1
from synthetic_encoders import filled, halvings, pyramid

import latents
from backends import checkpoints
from backends.checkpoints import CheckpointError
from backends.converters.torch_state import TorchState
from backends.generators.toy import Toy
from backends.untrusted import FileError
from cli import main
from config import ConfigError
from directions._stored import read
from directions.ganspace import GANSpace
from directions.latentclr import LatentCLR
from latents import LatentsError

START = b"\x80\x04"


def refused(file: Path, words: str = "") -> None:
    """Reads the file in every way a checkpoint is read; all answer with a message."""
    with bounded(), pytest.raises(CheckpointError, match=words):
        checkpoints.load(file)
    with bounded(), pytest.raises(FileError):
        TorchState().convert({file.name: file})
    for source in (GANSpace, LatentCLR):
        with bounded(), pytest.raises(ConfigError):
            source(file=str(file)).directions(Toy())
    with bounded(), pytest.raises(ConfigError):
        read(str(file))


def test_options_that_grow_when_they_are_printed(tmp_path):
    """60 pairs of pairs would be 2^60 objects as text; the encoder beside them is read."""
    state = filled(pyramid(halvings(8), (8, 8, 12, 16, 16), 4, 16))
    nested = [1, 2]
    for _ in range(60):
        nested = [nested, nested]
    tree = {"state_dict": {f"encoder.{k}": v for k, v in state.items()}, "latent_avg": torch.ones(16)}
    torch.save(tree | {"opts": {"encoder_type": nested}}, tmp_path / "e4e.pt")
    with bounded():
        assert bool(checkpoints.load(tmp_path / "e4e.pt", "inverters/encoder")["deltas"])


@pytest.mark.parametrize("zipped", [True, False])
def test_many_views_of_a_few_numbers(zipped, tmp_path):
    """Each tensor is rebuilt on its own: 400 of 4 MB would be 1.7 GB once they are copied."""
    shared = torch.zeros(2**20)
    tree = {f"layer{i}.weight": shared[:] for i in range(400)}
    torch.save(tree, tmp_path / "file.pt", _use_new_zipfile_serialization=zipped)
    assert (tmp_path / "file.pt").stat().st_size < 5e6
    refused(tmp_path / "file.pt", "larger together than the file")


def test_a_number_that_is_repeated(tmp_path):
    """A stride of zero: four bytes stand for 4 GB. Small ones usually say the same for every layer."""
    torch.save(torch.ones(1).expand(2**30), tmp_path / "file.pt")
    refused(tmp_path / "file.pt", "larger together than the file")
    torch.save(torch.arange(1.0, 17).expand(1, 6, 16), tmp_path / "small.pt")
    [stored] = read(str(tmp_path / "small.pt")).values()
    assert stored.vector.shape == (1, 16)
    torch.save(torch.ones(1).expand(2**2, 2**19), tmp_path / "large.pt")
    with bounded(100), pytest.raises(ConfigError, match="no direction has so many"):
        read(str(tmp_path / "large.pt"))


def test_axes_of_length_zero_hide_nothing(tmp_path):
    torch.save(torch.empty(2**30, 0), tmp_path / "file.pt")
    refused(tmp_path / "file.pt", "larger together than the file")


@pytest.mark.parametrize("place", ["z", "hidden"])
def test_mappings_that_are_too_wide(place, tmp_path):
    """The mean of W is estimated from 10,000 samples: with 2^20 numbers each they would take 40 GB."""
    state = stylegan1([4] * 4, 1, "idinvert", depth=2)
    wide = torch.ones(1, 1).expand(2**20, 1)
    if place == "z":
        state["mapping.dense0.fc.weight"] = wide.T
    else:
        state |= {"mapping.dense0.fc.weight": wide, "mapping.dense0.wscale.bias": torch.ones(2**20)}
        state["mapping.dense1.fc.weight"] = wide.T
    del state["truncation.w_avg"]
    torch.save(state, tmp_path / "file.pt")
    with bounded(), pytest.raises(CheckpointError, match=r"conditional|the mapping is from"):
        checkpoints.load(tmp_path / "file.pt")


def test_compressed_checkpoints(tmp_path):
    torch.save(torch.zeros(2**24), tmp_path / "plain.pt")
    packed = zipfile.ZipFile(tmp_path / "file.pt", "w", zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "plain.pt") as plain, packed:
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    assert (tmp_path / "file.pt").stat().st_size < 1e5
    refused(tmp_path / "file.pt", "larger than itself")


def test_a_directory_of_a_million_files(tmp_path):
    """33 MB of names: `zipfile` would make 500 MB of them before anybody can look."""
    entry = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0) + b"a"
    directory = entry * 700_000
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0)
    content = directory + end
    (tmp_path / "file.pt").write_bytes(b"PK\x03\x04" + content)
    refused(tmp_path / "file.pt", "directory of 32,900,000 bytes")
    with bounded(), pytest.raises(LatentsError, match="directory"):
        latents.load(content)


TEXT = b"X\x01\x00\x00\x00a"
PROGRAMS = {
    "integer": (b"I--5\n", "cut off or damaged"),
    "float": (b"F--5\n", "cut off or damaged"),
    "index": (b"g--5\n", "cut off or damaged"),
    "negative index": (b"Np-5\n", "memo"),
    "tuple keys": (b"}(" + b"".join(b"K%c\x85N" % i for i in range(100)) + b"u", "dict key"),
    # multiples of 2^61 - 1 all have the hash 0: each would be compared with all before it
    "equal hashes": (
        b"}("
        + b"".join(b"\x8a\x0c" + (i * (2**61 - 1)).to_bytes(12, "little") + b"N" for i in range(20, 900))
        + b"u",
        "dict key",
    ),
    "tuples in a set": (b"\x8f(N\x85\x90", "dict key"),
    "many names": (b"".join(b"cm\nn%d\n0" % i for i in range(1100)) + b"N", "too many"),
    "long name": (b"c" + b"m" * 400 + b"\nn\n", "too many"),
    "copied dicts": (
        b"ccollections\nOrderedDict\nq\x00(" + b"(K\x01Nl" * 500 + b"l\x85q\x01" + b"h\x00h\x01R" * 2000,
        "larger together",
    ),
    "state of a tensor": (
        b"cnumpy.core.multiarray\n_reconstruct\n(tR}b",
        "unusable state",
    ),
    "a mark below": (b"(\x85", "empty stack"),
    "buffers": (b"\x97", "NEXT_BUFFER"),
    "5,000 deep": (b"]" * 5000 + b"a" * 4999, "nested more than"),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_are_refused_in_words(name, tmp_path):
    program, words = PROGRAMS[name]
    (tmp_path / "file.pt").write_bytes(START + program + b".")
    refused(tmp_path / "file.pt", words)


def test_a_network_of_too_many_tensors(tmp_path):
    """Heads are counted in time that grows with the square of their number."""
    one = torch.ones(1)
    state = {f"styles.{i}.linear.weight": one for i in range(20_000)} | {"input_layer.0.weight": one}
    torch.save(state, tmp_path / "file.pt")
    with bounded(), pytest.raises(CheckpointError, match="20,001 tensors in one network"):
        checkpoints.load(tmp_path / "file.pt")


def test_numbers_in_keys_that_are_none(tmp_path):
    torch.save(
        {"block0.conv.weight": torch.ones(1), "block1.wscale1.bias": torch.ones(1)}, tmp_path / "file.pt"
    )
    with pytest.raises(CheckpointError, match="incomplete"):
        checkpoints.load(tmp_path / "file.pt")
    state = rosinality(nvidia([4, 4], 4), 2) | {"noises.noise_" + "9" * 5000: torch.ones(1)}
    torch.save({"g_ema": state}, tmp_path / "many.pt")
    assert checkpoints.load(tmp_path / "many.pt")["constant"].shape == (4, 4, 4)


def test_terminals_obey_no_name(tmp_path, capfd):
    escape = "\x1b]0;owned\x07\x1b[31m\n\u202e"
    torch.save({escape: torch.ones(1)}, tmp_path / "file.pt")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr(escape, "x")
    (tmp_path / "class.pt").write_bytes(b"\x80\x04c\x1b[31mm\n\x1bn\n.")
    files = [str(tmp_path / name) for name in ("file.pt", "zip.pt", "class.pt")]
    assert main(["inspect", *files]) == 1
    said = "".join(capfd.readouterr())
    assert said.count("error: ") == 3
    assert not set(said) & set("\x1b\x07\u202e")


# arrays


def npy(shape: tuple[int, ...] | str, kind: str = "'<f4'", content: bytes = b"") -> bytes:
    header = f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + content


def npz(method: int = zipfile.ZIP_DEFLATED, **members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def changed(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new)


def flagged(content: bytes, offset: int, value: int) -> bytes:
    """Another flag or method, in both headers of the only member."""
    changed = bytearray(content)
    for signature, start in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.index(signature) + start + offset
        changed[position : position + 2] = struct.pack("<H", value)
    return bytes(changed)


GOOD = npz(lat_comp=npy((2, 16), content=np.eye(2, 16, dtype="f4").tobytes()))
BIG = npy((2**26,), content=bytes(2**28))  # 256 MB of zeros
DEEP = "(" * 4000 + ")" * 4000
ARRAYS = {
    "10^400": npy((10**400, 16)),
    "10^400 of nothing": npy((0, 10**400)),
    "negative": npy((-1, 16)),
    "many axes": npy((1,) * 60),
    "2^34": npy((2**34,)),
    "2^34 of nothing": npy((2**34,), "'<V0'"),
    "no numbers": npy((16,), "'<M8[s]'", bytes(128)),
    "nested shape": npy(DEEP),
    "nested type": npy((16,), "[('a', " * 500 + "'<f4'" + ")]" * 500),
    "long header": b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**31) + bytes(100),
    "cut off": npy((2, 16), content=bytes(100)),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_that_claim_too_much(name, tmp_path):
    (tmp_path / "file.npy").write_bytes(ARRAYS[name])
    (tmp_path / "file.npz").write_bytes(npz(lat_comp=ARRAYS[name]))
    with bounded(), pytest.raises(ConfigError) as caught:
        read(str(tmp_path / "file.npy"))
    assert len(str(caught.value)) < 400
    with bounded(), pytest.raises(ConfigError):
        GANSpace(file=str(tmp_path / "file.npz")).directions(Toy())
    for content in (ARRAYS[name], npz(latents=ARRAYS[name])):
        with bounded(), pytest.raises(LatentsError) as error:
            latents.load(content)
        assert len(str(error.value)) < 400


BOMBS = {
    "zeros": npz(latents=BIG),
    "bytes": npz(latents=npy((2**27,), "'|u1'", bytes(2**27))),
    "bzip2": npz(zipfile.ZIP_BZIP2, latents=npy((2**24,), content=bytes(2**26))),
    "lzma": npz(zipfile.ZIP_LZMA, latents=npy((2**24,), content=bytes(2**26))),
    "names": npz(latents=npy((1, 6, 16), content=bytes(384)), names=npy((2**25,), "'<U1'", bytes(2**27))),
    "encrypted": flagged(GOOD, 0, 1).replace(b"lat_comp", b"latents_"),
    "unknown method": flagged(npz(latents=npy((16,), content=bytes(64))), 2, 77),
    "damaged": changed(npz(zipfile.ZIP_STORED, latents=npy((4,), content=b"abcdefgh" * 2)), b"abcd", b"abce"),
    "damaged directory": changed(npz(latents=npy((64,), content=bytes(256))), b"PK\x01\x02", b"PK\x01\x03"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_archives_that_unpack_to_too_much_or_not_at_all(name, tmp_path):
    content = BOMBS[name]
    assert len(content) < 1e6
    with bounded(100), pytest.raises(LatentsError) as caught:
        latents.load(content)
    assert len(str(caught.value)) < 400
    (tmp_path / "file.npz").write_bytes(content)
    with bounded(100), pytest.raises(LatentsError):
        latents.load(tmp_path / "file.npz")


def test_members_that_nobody_asked_for_are_not_unpacked():
    codes = npy((2, 6, 16), content=np.ones((2, 6, 16), "f4").tobytes())
    names = npy((3,), "'<U300'", np.array(["a" * 300, "b\x1b[31m", "c"]).tobytes())
    content = npz(other=BIG, latents=codes, names=names, domain=npy((), "'<U2'", "a\n".encode("utf-32-le")))
    with bounded(100):
        saved = latents.load(content)
    assert saved.values.shape == (2, 6, 16)
    assert [len(name) for name in saved.names] == [200, 6]
    assert saved.names[1] == "b?[31m"
    assert saved.domain == "a?"


def test_codes_that_are_repeated_for_every_layer_may_be_compressed():
    """What anybody would save is read, however well it can be compressed."""
    codes = np.random.default_rng(0).normal(size=(200, 1, 512)).astype("f4").repeat(18, 1)
    stream = io.BytesIO()
    np.savez_compressed(stream, latents=codes)
    assert latents.load(stream.getvalue()).values.shape == codes.shape


def test_notes_that_are_nested_deeply(tmp_path):
    """Metadata of a `.safetensors` is JSON."""
    for text in ("[" * 5000 + "]" * 5000, "[]", "{" * 10, '{"a": {"accuracy": [1]}}', '{"a": 3}'):
        save_file({"a": torch.ones(1, 16)}, tmp_path / "file.safetensors", {"directions": text})
        with bounded(), pytest.raises(ConfigError, match="not a file of directions"):
            read(str(tmp_path / "file.safetensors"))
