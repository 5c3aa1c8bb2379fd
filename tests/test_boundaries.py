"""Stored directions: file formats, hostile files, and conditional boundaries."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from backends.generators.toy import Toy
from config import ConfigError
from directions import _stored
from directions._stored import Stored, read, write
from directions.interfacegan import InterFaceGAN, conditional
from editor import Domain, Editor

DIM = 16  # of the toy generator, which has 6 layers


@pytest.fixture
def unit() -> np.ndarray:
    vector = np.random.default_rng(0).normal(size=(1, DIM))
    return vector / np.linalg.norm(vector)


@pytest.fixture
def file(tmp_path: Path, unit) -> str:
    """Three boundaries that overlap, and what is known about one of them."""
    random = np.random.default_rng(1).normal(size=(2, DIM))
    others = random / np.linalg.norm(random, axis=1, keepdims=True)
    write(
        tmp_path / "all.safetensors",
        {
            "smile": Stored(torch.from_numpy(unit), "1-2", accuracy=0.97, limit=4.0, note="wide"),
            "age": Stored(torch.from_numpy(others[:1])),
            "gender": Stored(torch.from_numpy(others[1:])),
        },
    )
    return str(tmp_path / "all.safetensors")


def only(path: Path) -> Stored:
    [stored] = read(str(path)).values()
    return stored


def move(source: InterFaceGAN, name: str) -> torch.Tensor:
    toy = Toy()
    return source.find(toy, name).step(toy.mean())[0]


# formats


@pytest.mark.parametrize("shape", [(DIM,), (1, DIM), (1, 1, DIM)])
@pytest.mark.parametrize("kind", ["f4", "f8", ">f4"])
def test_npy_vectors(tmp_path, unit, shape, kind):
    np.save(tmp_path / "age.npy", 3 * unit.reshape(shape).astype(kind))
    assert list(read(str(tmp_path / "age.npy"))) == ["age"]
    np.testing.assert_allclose(only(tmp_path / "age.npy").vector, unit, atol=1e-6)


@pytest.mark.parametrize("shape", [(6, DIM), (1, 6, DIM)])
def test_rows_that_differ_stay_and_equal_rows_become_one(tmp_path, unit, shape):
    rows = np.arange(1.0, 7)[:, None] * unit
    torch.save(torch.from_numpy(rows.reshape(shape)), tmp_path / "pose.pt")
    np.testing.assert_allclose(only(tmp_path / "pose.pt").vector, rows / 6)
    torch.save(torch.from_numpy(unit.repeat(6, 0).reshape(shape)), tmp_path / "pose.pt")
    np.testing.assert_allclose(only(tmp_path / "pose.pt").vector, unit)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("order", ["C", "F"])
def test_npy_dicts_with_layers(tmp_path, unit, protocol, order):
    rows = np.asarray(np.arange(1.0, 7)[None, :, None] * unit, np.float32, order=order)
    content = np.array({"boundary": rows, "meta_data": {"manipulate_layers": [0, 1, 2]}}, dtype=object)
    with open(tmp_path / "pose.npy", "wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "|O", "fortran_order": False, "shape": ()})
        stream.write(pickle.dumps(content, protocol))
    stored = only(tmp_path / "pose.npy")
    assert stored.layers == "0,1,2"
    np.testing.assert_allclose(stored.vector, rows[0] / 6, rtol=1e-6)


def test_what_numpy_saves_today_is_read(tmp_path, unit):
    np.save(tmp_path / "a.npy", {"boundary": unit}, allow_pickle=True)  # type: ignore[arg-type]
    np.testing.assert_allclose(only(tmp_path / "a.npy").vector, unit)


def test_safetensors_keep_names_order_and_notes(file):
    stored = read(file)
    assert list(stored) == ["smile", "age", "gender"]
    smile = stored["smile"]
    assert (smile.layers, smile.accuracy, smile.limit, smile.note) == ("1-2", 0.97, 4, "wide")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((1, DIM)), "zero"),
        (np.full((1, DIM), np.nan), "finite"),
        (np.ones((2, 3, DIM)), "shape"),
        (np.ones((0, DIM)), "shape"),
    ],
)
def test_files_without_a_direction_are_refused(tmp_path, array, words):
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(ConfigError, match=words) as caught:
        read(str(tmp_path / "bad.npy"))
    assert str(tmp_path) not in str(caught.value)


@pytest.mark.parametrize("name", ["missing.npy", "text.txt", "text.npy", "text.pt", "text.safetensors"])
def test_files_that_are_no_direction_files_are_refused(tmp_path, name):
    for written in ("text.txt", "text.npy", "text.pt", "text.safetensors"):
        (tmp_path / written).write_text("hello")
    with pytest.raises(ConfigError, match=name) as caught:
        read(str(tmp_path / name))
    assert str(tmp_path) not in str(caught.value)


# hostile files


class Command:
    """Unpickled by numpy or pickle, makes a folder."""

    def __init__(self, folder: Path):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def test_a_pickle_in_a_npy_never_runs(tmp_path):
    victim = tmp_path / "made"
    np.save(tmp_path / "evil.npy", {"boundary": Command(victim)}, allow_pickle=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="mkdir"):
        read(str(tmp_path / "evil.npy"))
    assert not victim.exists()
    np.load(tmp_path / "evil.npy", allow_pickle=True)  # the file does what it is meant to
    assert victim.exists()


def test_a_pickle_in_a_pt_never_runs(tmp_path):
    torch.save({"boundary": Command(tmp_path / "made")}, tmp_path / "evil.pt")
    with pytest.raises(ConfigError):
        read(str(tmp_path / "evil.pt"))
    assert not (tmp_path / "made").exists()


def npy(program: bytes) -> bytes:
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + program


REPEATED = b"(lp0\n" + b"".join(b"(l" + b"g%d\na" % i * 10 + b"p%d\n" % (i + 1) for i in range(20)) + b"."


@pytest.mark.parametrize(
    "program",
    [
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        b"cos\nsystem\n(S'true'\ntR.",
        b"cnumpy\nndarray\n(tRc_codecs\nencode\n(N(dp0\nS'__doc__'\nS'x'\nstb.",
        b"cnumpy\nfromfile\n(S'/etc/hostname'\ntR.",
        b"P1\n.",
        REPEATED,
        b"\x80\x04" + b"N" + b"r" + (2**31).to_bytes(4, "little") + b".",
        b"\x80\x04\x8e" + (2**60).to_bytes(8, "little") + b".",
        b"not a pickle",
        b"",
    ],
)
def test_hostile_pickles_are_refused(tmp_path, program):
    (tmp_path / "bad.npy").write_bytes(npy(program))
    with pytest.raises(ConfigError, match=r"it |its |pickle"):
        read(str(tmp_path / "bad.npy"))


@pytest.mark.parametrize(
    "name", ["c_codecs\nencode", "cnumpy\nndarray", "ccollections\nOrderedDict", "cos\nsystem"]
)
def test_names_in_a_pickle_cannot_be_changed(tmp_path, name):
    (tmp_path / "bad.npy").write_bytes(npy(name.encode() + b"\n(dp0\nS'function'\nNsb."))
    with pytest.raises(ConfigError, match="damaged pickle"):
        read(str(tmp_path / "bad.npy"))


# layers


def test_a_file_says_its_layers_and_settings_win(file):
    assert move(InterFaceGAN(file=file), "smile").norm(dim=1).nonzero().flatten().tolist() == [1, 2]
    chosen = InterFaceGAN(file=file, layers="0,5")
    assert move(chosen, "smile").norm(dim=1).nonzero().flatten().tolist() == [0, 5]


def test_layers_for_another_generator_need_a_map(tmp_path, unit, monkeypatch):
    rows = np.arange(1.0, 4)[:, None] * unit
    np.save(tmp_path / "pose.npy", rows)
    source = InterFaceGAN(files={"pose": str(tmp_path / "pose.npy")})
    with pytest.raises(ConfigError, match=r"3 layers.*generator 6"):
        source.directions(Toy())
    monkeypatch.setitem(_stored.LAYER_MAPS, (3, 6), (0, 0, 1, 1, 2, 2))
    lengths = move(source, "pose").norm(dim=1)
    torch.testing.assert_close(lengths / lengths[0], torch.tensor([1.0, 1, 2, 2, 3, 3]))


def test_vectors_of_another_length_are_refused(tmp_path):
    np.save(tmp_path / "age.npy", np.ones((1, 512)))
    with pytest.raises(ConfigError, match="512"):
        InterFaceGAN(files={"age": str(tmp_path / "age.npy")}).directions(Toy())


# conditional boundaries


def units(count: int, seed: int) -> torch.Tensor:
    vectors = np.random.default_rng(seed).normal(size=(count, 1, DIM))
    return torch.from_numpy(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def test_one_condition_is_the_paper_s_projection():
    n, c = units(2, 2)
    expected = n - (n @ c.T) * c
    torch.testing.assert_close(conditional(n, c[None]), expected / expected.norm(), rtol=0, atol=1e-15)


def test_two_conditions_are_the_closed_form():
    n, c1, c2 = units(3, 3)
    p1, p2, r = (float(a @ b.T) for a, b in ((n, c1), (n, c2), (c1, c2)))
    expected = n - (p1 - p2 * r) / (1 - r**2) * c1 - (p2 - p1 * r) / (1 - r**2) * c2
    found = conditional(n, torch.stack([c1, c2]))
    torch.testing.assert_close(found, expected / expected.norm(), rtol=0, atol=1e-15)


@pytest.mark.parametrize("count", [3, 7])
def test_more_conditions_leave_a_unit_vector_orthogonal_to_all(count):
    n, *others = units(count + 1, 4)
    others = torch.stack([*others, others[0] + others[1]])  # conditions that depend on each other
    found = conditional(n, others)
    assert (others[:, 0] @ found[0]).abs().max() < 1e-14
    assert float(found.norm()) == pytest.approx(1)
    residual = np.linalg.lstsq(others[:, 0].numpy().T, n[0].numpy(), rcond=None)[0] @ others[:, 0].numpy()
    expected = n[0].numpy() - residual
    np.testing.assert_allclose(found[0], expected / np.linalg.norm(expected), atol=1e-13)


def test_a_name_can_carry_its_conditions(file):
    source = InterFaceGAN(file=file)
    stored = source.stored()
    found = move(source, "smile | keep gender, age")[1].double()
    for other in ("gender", "age"):
        assert abs(float(found @ stored[other].vector[0]) / found.norm()) < 1e-6
    assert source.directions(Toy())[0].conditions == ("smile", "age", "gender")
    assert torch.equal(move(source, "smile | keep gender, smile"), move(source, "smile|keep gender"))


def test_keep_in_the_settings_holds_for_every_other_direction(file):
    kept, free = InterFaceGAN(file=file, keep=["age"]), InterFaceGAN(file=file)
    assert torch.equal(move(kept, "smile"), move(free, "smile | keep age"))
    assert torch.equal(move(kept, "age"), move(free, "age"))
    assert torch.equal(move(kept, "smile | keep gender"), move(free, "smile | keep gender"))


@pytest.mark.parametrize(
    "name", ["smile | keep", "smile | with age", "smile | keep nothing", "nose", "| keep age"]
)
def test_unknown_attributes_and_conditions_are_named(file, name):
    with pytest.raises(ConfigError, match="smile"):
        InterFaceGAN(file=file).find(Toy(), name)


def test_a_direction_cannot_keep_itself_under_another_name(tmp_path, unit):
    np.save(tmp_path / "a.npy", unit)
    source = InterFaceGAN(files={name: str(tmp_path / "a.npy") for name in ("old", "aged")})
    with pytest.raises(ConfigError, match="old cannot change without aged"):
        source.find(Toy(), "old | keep aged")


def test_ranges_and_notes_come_from_the_file(file):
    smile, age, _ = InterFaceGAN(file=file).directions(Toy())
    assert (smile.low, smile.high) == (-4, 4)
    assert "97%" in smile.note
    assert "wide" in smile.note
    assert (age.low, age.high) == (-3, 3)


def test_a_source_without_files_says_what_it_needs():
    with pytest.raises(ConfigError, match="file"):
        InterFaceGAN().directions(Toy())


def test_the_editor_finds_conditional_directions_by_id_and_by_bare_name(file):
    domain = Domain(
        "t", {"name": "toy"}, {"m": {"name": "mean"}}, {"I": {"name": "interfacegan", "file": file}}
    )
    editor = Editor("t", domain)
    latents = editor.sample(1).latents
    moves = [
        editor.direction(i).step(latents)
        for i in ("I/smile | keep age", "Smile | keep age", "smile|keep age")
    ]
    assert torch.equal(moves[0], moves[1])
    assert torch.equal(moves[0], moves[2])
    assert not torch.equal(moves[0], editor.direction("smile").step(latents))
