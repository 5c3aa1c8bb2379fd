"""Latents on disk: round trips, other tools' shapes, and files that want to do harm."""

import io
import os
import zipfile

import numpy as np
import pytest
import torch

import latents
from backends.generators.toy import Toy
from latents import LatentsError

CODES = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))


def test_npz_round_trip_keeps_values_and_origin(tmp_path):
    path = tmp_path / "two.npz"
    latents.save(path, CODES, "toy", Toy(), ["me.jpg", "Zoë.png"])
    saved = latents.load(path)
    assert torch.equal(saved.values, CODES)
    assert (saved.domain, saved.fingerprint, saved.names) == ("toy", Toy().fingerprint, ("me.jpg", "Zoë.png"))
    with np.load(path, allow_pickle=False) as plain:
        assert plain["latents"].dtype == np.float32


def test_npy_round_trip_and_bytes(tmp_path):
    path = tmp_path / "two.npy"
    latents.save(path, CODES, "toy", Toy(), [])
    assert torch.equal(latents.load(path).values, CODES)
    assert torch.equal(latents.load(path.read_bytes()).values, CODES)


@pytest.mark.parametrize(
    ("shape", "count"), [((16,), 1), ((3, 16), 3), ((6, 16), 1), ((5, 1, 16), 5), ((5, 6, 16), 5)]
)
def test_shapes_of_other_tools_fit(shape, count):
    fitted = latents.fit(torch.randn(shape), 6, 16)
    assert fitted.shape == (count, 6, 16)


@pytest.mark.parametrize("shape", [(15,), (6, 15), (2, 5, 16), (1, 2, 6, 16), (0, 6, 16), ()])
def test_shapes_of_other_generators_are_refused(shape):
    with pytest.raises(LatentsError, match=r"this generator"):
        latents.fit(torch.zeros(shape), 6, 16)


class Harm:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def _npz(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


def _npy(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, **options)
    return stream.getvalue()


def test_pickles_are_never_executed(tmp_path):
    array = np.array([Harm(str(tmp_path / "harm"))], dtype=object)
    for content in (_npy(array), _npz(latents=_npy(array))):
        with pytest.raises(LatentsError, match="pickled"):
            latents.load(content)
    assert not (tmp_path / "harm").exists()


def _claims(shape: tuple[int, ...]) -> bytes:
    header = {"descr": "<f4", "fortran_order": False, "shape": shape}
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a file of numbers",
        b"PK\x03\x04 and nothing else",
        _npy(np.zeros((2, 6, 16)))[:-7],
        _npz(other=_npy(np.zeros(3))),
        _npz(latents=_npy(np.array(["text"]))),
        _npz(latents=_npy(np.full((1, 6, 16), np.nan))),
        _claims((1 << 40, 6, 16)),
        _claims((1 << 20, 1 << 20, 1 << 30)),
        _claims((-1, 16)),
        _npz(latents=_claims((1 << 40, 16))),
    ],
)
def test_other_files_are_refused_with_a_reason(content):
    with pytest.raises(LatentsError):
        latents.load(content)


def test_a_zip_bomb_is_not_unpacked():
    header = _claims((1 << 34,))
    bomb = _npz(latents=header + bytes(64 << 20))  # 64 MiB of zeros in 64 KiB
    with pytest.raises(LatentsError, match="larger"):
        latents.load(bomb)
