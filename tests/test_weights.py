"""Weights: fetched once, checked always, kept whole; and what a person without a network is told."""

import hashlib
import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

from backends import cache, checkpoints, manifest, weights
from backends.converters import Converter
from backends.generators.stylegan1 import StyleGAN1
from backends.generators.stylegan2 import StyleGAN2
from backends.inverters.encoder import Encoder
from backends.sources.file import File

PROJECT = Path(__file__).resolve().parents[1]


def member(content: bytes, path: str) -> dict[str, object]:
    return {"path": path, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """A folder with published files, a manifest of two entries that names them, and an empty cache."""
    published = tmp_path / "published"
    published.mkdir()
    torch.save({"layer.weight": torch.arange(6.0).reshape(2, 3)}, published / "net.pth")
    (published / "a.bin").write_bytes(b"first" * 100)
    (published / "b.bin").write_bytes(b"second" * 100)
    own = {"name": "file", "hint": "made up"}
    about = {"description": "a test", "licence": "MIT", "source": own}
    files = {name: member((published / name).read_bytes(), name) for name in ("a.bin", "b.bin", "net.pth")}
    net = about | {"converter": "torch_state", "members": {"net.pth": files["net.pth"]}}
    pair = about | {"members": {name: files[name] for name in ("a.bin", "b.bin")}}
    listing = tmp_path / "weights.yaml"
    listing.write_text(yaml.safe_dump({"net": net, "pair": pair}))
    monkeypatch.setattr(manifest, "FILE", listing)
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SEMANTIC_SLIDERS_MODELS", str(published))
    return published


@pytest.fixture
def fetches(monkeypatch):
    """Names of the files that the source delivers, in order."""
    seen: list[str] = []
    deliver = File.fetch

    def fetch(self, members, folder, downloads):
        seen.extend(members)
        deliver(self, members, folder, downloads)

    monkeypatch.setattr(File, "fetch", fetch)
    return seen


def test_a_file_is_fetched_once(shop, fetches):
    assert weights.path("pair", "a.bin").read_bytes() == b"first" * 100
    assert weights.path("pair", "b.bin").is_relative_to(cache.folder())
    assert fetches == ["a.bin", "b.bin"]
    assert not (cache.folder() / ".partial").exists()


def test_a_state_is_converted_once(shop, monkeypatch):
    expected = {"layer.weight": torch.arange(6.0).reshape(2, 3)}
    torch.testing.assert_close(weights.state("net"), expected)
    monkeypatch.setattr(Converter, "convert", None)
    monkeypatch.setattr(weights, "_convert", None)  # calling it again would fail
    torch.testing.assert_close(weights.state("net"), expected)


def test_a_changed_converter_converts_again(shop, monkeypatch):
    weights.state("net")
    calls = []
    monkeypatch.setattr(weights, "_conversion", lambda entry: "another")
    convert = weights._convert
    monkeypatch.setattr(weights, "_convert", lambda *args: calls.append(args) or convert(*args))
    weights.state("net")
    assert len(calls) == 1


@pytest.mark.parametrize("damage", [b"", b"first" * 99, b"First" + b"first" * 99, b"first" * 101])
def test_a_damaged_file_is_fetched_again(shop, fetches, damage):
    weights.path("pair", "a.bin").write_bytes(damage)
    assert weights.entries()["pair"].missing().keys() == {"a.bin"}
    assert weights.path("pair", "a.bin").read_bytes() == b"first" * 100
    assert fetches == ["a.bin", "b.bin", "a.bin"]


@pytest.mark.parametrize("keep", [0, 20, -1])
def test_a_damaged_conversion_is_made_again(shop, keep):
    weights.state("net")
    file = cache.folder() / "net" / weights.STATE
    file.write_bytes(file.read_bytes()[:keep])
    assert weights.state("net")["layer.weight"].shape == (2, 3)


@pytest.mark.parametrize("content", [b"x" * 500, b"f", b"first" * 5000])
def test_wrong_content_is_refused(shop, content):
    (shop / "a.bin").write_bytes(content)
    with pytest.raises(weights.WeightsError, match=r"a\.bin"):
        weights.path("pair", "a.bin")
    assert not (cache.folder() / "pair" / "a.bin").exists()
    assert not (cache.folder() / ".partial").exists()


def test_what_is_missing_is_told(shop, monkeypatch):
    monkeypatch.delenv("SEMANTIC_SLIDERS_MODELS")
    with pytest.raises(weights.WeightsError) as caught:
        weights.path("pair", "a.bin")
    for words in ("weights pair", "0.0 MB", "SEMANTIC_SLIDERS_MODELS is not set", "made up"):
        assert words in caught.value.public
    assert str(cache.folder()) not in caught.value.public
    assert f"a.bin, b.bin into {cache.folder() / 'pair'}" in str(caught.value)


def test_files_put_there_by_hand_are_used(shop, fetches):
    place = cache.folder() / "net"
    place.mkdir(parents=True)
    (place / "net.pth").write_bytes((shop / "net.pth").read_bytes())
    assert weights.state("net")
    assert fetches == []


def test_a_filled_cache_may_be_read_only(shop, monkeypatch):
    weights.state("net")
    monkeypatch.setattr(cache, "exclusive", None)  # nothing may want to write
    assert weights.path("net").is_file()
    assert weights.state("net")


def test_a_cache_that_cannot_be_written_is_told(shop, monkeypatch):
    (shop / "file").touch()
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(shop / "file" / "cache"))
    with pytest.raises(weights.WeightsError, match="SEMANTIC_SLIDERS_CACHE names another folder") as caught:
        weights.path("net")
    assert str(shop) not in caught.value.public


def test_only_one_writes_at_a_time(shop, fetches, caplog):
    caplog.set_level(logging.INFO)
    waiting = threading.Thread(target=weights.path, args=("pair", "a.bin"))
    with cache.exclusive() as scratch:
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        assert fetches == []
        assert scratch.is_dir()
    waiting.join(20)
    assert fetches == ["a.bin", "b.bin"]
    assert "waiting for another process" in caplog.text


@pytest.fixture
def unknown(shop):
    """The entry of two files, without their hashes and with sizes that are about right."""
    listing = yaml.safe_load(manifest.FILE.read_text())
    listing["pair"]["members"] = {name: {"path": name, "size": 550} for name in ("a.bin", "b.bin")}
    manifest.FILE.write_text(yaml.safe_dump(listing))
    manifest.load.cache_clear()
    return shop


def test_without_a_published_hash_the_first_fetch_is_remembered(unknown, fetches):
    before = weights.fingerprint("pair")
    assert not weights.entries()["pair"].there()
    content = weights.path("pair", "a.bin").read_bytes()
    assert weights.entries()["pair"].there()
    lines = [f"{hashlib.sha256((unknown / n).read_bytes()).hexdigest()}  {n}\n" for n in ("a.bin", "b.bin")]
    assert weights.fingerprint("pair") == hashlib.sha256("".join(lines).encode()).hexdigest() != before
    weights.path("pair", "a.bin").write_bytes(content[::-1])  # damaged: fetched again
    assert weights.path("pair", "a.bin").read_bytes() == content
    assert fetches == ["a.bin", "b.bin", "a.bin"]
    weights.path("pair", "a.bin").unlink()
    (unknown / "a.bin").write_bytes(content[::-1])  # another file than the first time
    with pytest.raises(weights.WeightsError, match="expected SHA-256"):
        weights.path("pair", "a.bin")


@pytest.mark.parametrize("size", [400, 700])
def test_without_a_published_hash_the_size_is_about_right(unknown, size):
    (unknown / "a.bin").write_bytes(bytes(size))
    with pytest.raises(weights.WeightsError, match=r"a\.bin"):
        weights.path("pair", "a.bin")


def test_preparing_converts_and_loads_nothing(shop, monkeypatch):
    monkeypatch.setattr(weights, "_load", None)
    weights.prepare("net")
    assert (cache.folder() / "net" / weights.STATE).is_file()


def test_two_processes_fetch_and_convert_once(shop):
    script = (
        "import logging, pathlib, sys; logging.basicConfig(level='INFO')\n"
        "from backends import manifest, weights\n"
        "manifest.FILE = pathlib.Path(sys.argv[1])\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(weights.state('net')['layer.weight'].sum().item())\n"
    )
    command = [sys.executable, "-c", script, str(manifest.FILE)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    both = [subprocess.Popen(command, cwd=PROJECT, **pipes) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:  # both have imported torch: now start them together
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in both]
    assert [out for out, _ in answers] == ["15.0\n", "15.0\n"]
    logged = "".join(errors for _, errors in answers)
    assert logged.count("fetching the weights") == 1
    assert logged.count("converting the weights") == 1


def test_what_a_killed_process_left_is_removed(shop):
    left = cache.folder() / ".partial"
    left.mkdir(parents=True)
    (left / "a.bin").write_bytes(b"half")
    assert weights.path("pair", "a.bin").read_bytes() == b"first" * 100


def test_fingerprints_come_from_the_manifest(shop, fetches):
    net = hashlib.sha256((shop / "net.pth").read_bytes()).hexdigest()
    lines = [f"{hashlib.sha256((shop / n).read_bytes()).hexdigest()}  {n}\n" for n in ("a.bin", "b.bin")]
    assert weights.fingerprint("net") == net
    assert weights.fingerprint("pair") == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert fetches == []


def test_ones_own_file(shop, tmp_path):
    file = tmp_path / "mine.safetensors"
    save_file({"w": torch.ones(3)}, file)
    assert weights.state(str(file))["w"].tolist() == [1, 1, 1]
    assert weights.fingerprint(str(file)) == hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(b"no such thing")
    with pytest.raises(weights.WeightsError, match="not a safetensors file"):
        weights.state(str(file))
    with pytest.raises(weights.WeightsError) as caught:
        weights.fingerprint(str(tmp_path / "gone.safetensors"))
    assert str(tmp_path) not in caught.value.public


def test_a_setting_is_an_entry_or_a_path(shop):
    """One rule for all plugins: entries have names, everything else is a path below the project."""
    assert weights.own("net") is None
    assert weights.own("") is None
    assert weights.own("weights/mine.pt") == PROJECT / "weights" / "mine.pt"
    assert weights.own("./mine") == PROJECT / "mine"
    assert weights.own("~/mine.CKPT") == Path.home() / "mine.CKPT"
    assert weights.own(str(shop / "net.pth")) == shop / "net.pth"
    for plugin in (StyleGAN1, StyleGAN2, Encoder):
        assert plugin("net").required() == ["net"]
        assert plugin("models/net.tar").required() == []


def test_ones_own_checkpoint_is_told_by_its_content(shop, monkeypatch):
    monkeypatch.chdir(shop)  # which is no place where paths in settings start
    torch.save({"eigvec": torch.eye(3)}, shop / "some.file")
    assert len(weights.fingerprint(str(shop / "some.file"))) == 64
    with pytest.raises(checkpoints.CheckpointError, match="not what generators/stylegan2 reads"):
        weights.state(str(shop / "some.file"), "generators/stylegan2")
    with pytest.raises(weights.WeightsError, match=r"there is no file some\.file"):
        weights.fingerprint("some.file")


def test_unknown_names_list_the_known(shop):
    with pytest.raises(weights.WeightsError, match="net, pair"):
        weights.fetch("nothing")
    with pytest.raises(weights.WeightsError, match=r"a\.bin, b\.bin"):
        weights.path("pair")
    with pytest.raises(weights.WeightsError, match=r"a\.bin, b\.bin"):
        weights.path("pair", "../net/net.pth")


def test_status(shop):
    weights.fetch("pair")
    net, pair = weights.entries().values()
    assert (bool(net.missing()), bool(pair.missing())) == (True, False)
    assert pair.bytes == 1100
    assert pair.licence == "MIT"


@pytest.mark.weights
@pytest.mark.parametrize(
    "name", [name for name, entry in manifest.load().items() if entry.converter and entry.source.container]
)
def test_published_weights_convert(name):
    assert all(tensor.isfinite().all() for tensor in weights.state(name).values())
