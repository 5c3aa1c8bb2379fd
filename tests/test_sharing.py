"""Shared records: complete or absent, unguessable, harmless, and gone when they should be."""

import errno
import json
import math
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

import app
import sharing
from editor import Editor
from sharing import DAY, Shared, ShareError, ShareStore

CONFIGS = Path(__file__).parent / "configs"


class Clock:
    """A time that only the test moves."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    return ShareStore(tmp_path / "shares", now=clock)


def shared(**changes):
    latents = np.linspace(-3, 3, 6 * 16, dtype=np.float32).reshape(1, 6, 16)
    panel = {"source": "SeFa", "layers": "0-2", "count": 5}
    settings = {"domain": "toy", "fingerprint": "ab" * 32, "latents": latents, "panel": panel}
    return Shared(**{**settings, "edit": {"SeFa@0-2/SeFa 1": 2.5, "SeFa/SeFa 3": -1.0}, **changes})


def test_a_new_store_on_the_same_folder_opens_the_record(store, clock):
    identity, token = store.add(shared(), days=7)
    found = ShareStore(store.directory, now=clock).open(identity)
    assert found.domain == "toy"
    assert found.fingerprint == "ab" * 32
    assert found.edit == shared().edit
    assert found.panel == shared().panel
    assert found.expires - found.created == 7 * DAY
    assert np.abs(found.latents - shared().latents).max() < 2e-3
    assert found.latents.dtype == np.float32
    assert sharing.IDENTITY.fullmatch(identity)
    assert token != identity


def test_another_process_opens_the_record(store):
    store.now = lambda: 4_000_000_000.0
    identity, _ = store.add(shared(), days=7)
    code = "import sys; from pathlib import Path; from sharing import ShareStore; "
    code += (
        "s = ShareStore(Path(sys.argv[1]), now=lambda: 4e9); print(s.open(sys.argv[2]).edit['SeFa/SeFa 3'])"
    )
    command = [sys.executable, "-c", code, str(store.directory), identity]
    root = Path(__file__).parent.parent
    printed = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=True).stdout
    assert printed.strip() == "-1.0"


def test_ids_and_tokens_differ_and_only_a_hash_of_the_token_is_stored(store):
    pairs = [store.add(shared(), days=1) for _ in range(20)]
    assert len({identity for identity, _ in pairs} | {token for _, token in pairs}) == 40
    content = b"".join(path.read_bytes() for path in store.directory.iterdir())
    assert not any(token.encode() in content for _, token in pairs)


def test_float16_latents_give_the_same_picture(store):
    editor = Editor.load("toy", CONFIGS)
    for seed in range(5):
        inversion = editor.sample(seed)
        identity, _ = store.add(shared(latents=inversion.latents.numpy()), days=1)
        edit = {"SeFa/SeFa 1": 2.0, "SeFa/SeFa 2": -1.5}
        stored = type(inversion)(
            inversion.latents.new_tensor(store.open(identity).latents), inversion.generator
        )
        pictures = [np.asarray(editor.render(each, edit), dtype=float) for each in (inversion, stored)]
        error = np.mean((pictures[0] - pictures[1]) ** 2)
        assert error == 0 or 10 * math.log10(255**2 / error) >= 40


def test_latents_beyond_float16_are_refused(store):
    with pytest.raises(ShareError, match="65504"):
        store.add(shared(latents=np.full((1, 6, 16), 1e5, np.float32)), days=1)


def test_a_crash_while_writing_leaves_no_record(store, monkeypatch):
    store.add(shared(), days=1)

    def crash(*_):
        raise OSError("the power failed")

    monkeypatch.setattr(sharing.os, "replace", crash)
    with pytest.raises(ShareError, match="cannot store"):
        store.add(shared(), days=1)
    assert len(list(store.directory.iterdir())) == 1


def test_the_sweep_removes_what_a_killed_server_left(store):
    store.directory.mkdir()
    left = store.directory / ".abc.tmp"
    left.write_bytes(b"half")
    store.sweep()
    assert left.exists()  # may be another server's, at this moment
    os.utime(left, (1, 1))
    store.sweep()
    assert not left.exists()


def test_an_expired_record_is_gone_before_and_after_the_sweep(store, clock):
    identity, token = store.add(shared(), days=2)
    clock.seconds += 2 * DAY - 1
    assert store.open(identity).domain == "toy"
    clock.seconds += 1
    with pytest.raises(ShareError, match="expired"):
        store.open(identity)
    with pytest.raises(ShareError, match="expired"):
        store.delete(identity, token)
    assert store.sweep() == 1
    assert list(store.directory.iterdir()) == []


def test_no_visitor_waits_for_the_sweep(store, clock, monkeypatch):
    """It reads every record, and has a thread of its own: see `app.repeat`."""
    store.add(shared(), days=1)
    clock.seconds += 3 * DAY
    monkeypatch.setattr(store, "sweep", lambda: pytest.fail("adding does not sweep"))
    monkeypatch.setattr(store, "_read", lambda _: pytest.fail("adding reads no other record"))
    store.add(shared(), days=1)
    assert len(list(store.directory.iterdir())) == 2


def test_the_server_sweeps_now_and_then(store, clock):
    store.add(shared(), days=1)
    clock.seconds += 3 * DAY
    calls, again = [], threading.Event()

    def sweep():
        calls.append(store.sweep())
        if len(calls) == 1:
            raise OSError("the disk is gone")  # what fails is tried again
        again.set()

    app.repeat(0.01, sweep)
    assert again.wait(20)
    assert calls[:2] == [1, 0]
    assert list(store.directory.iterdir()) == []


def test_the_sweep_leaves_what_is_not_of_this_store(store):
    store.directory.mkdir()
    foreign = store.directory / "somebodys_weights.safetensors"
    foreign.write_bytes(b"weights")
    (store.directory / f"{'b' * 22}.safetensors").symlink_to(foreign)
    assert store.sweep() == 0
    assert len(list(store.directory.iterdir())) == 2


def test_bad_files_break_nobody_elses_links(store, clock):
    identity, token = store.add(shared(), days=2)
    store.add(shared(), days=1)
    (store.directory / f"{'f' * 22}.safetensors").mkdir()
    deep = '{"expires": ' + "[" * 100_000 + "]" * 100_000 + "}"
    for letter, header in (("i", record(expires=math.inf)), ("d", deep), ("n", record(expires=math.nan))):
        path = store.directory / f"{letter * 22}.safetensors"
        path.write_bytes(save({"latents": LATENTS}, metadata={"record": header}))
    clock.seconds += DAY
    assert store.sweep() == 1  # the expired one
    assert store.open(identity).domain == "toy"
    store.add(shared(), days=1)
    for letter in "fidn":
        with pytest.raises(ShareError):
            store.open(letter * 22)
        with pytest.raises(ShareError):
            store.delete(letter * 22, token)
    assert store.sweep() == 0
    store.delete(identity, token)


def test_a_record_that_cannot_be_deleted_is_said_without_its_id(store, monkeypatch, caplog, clock):
    identity, token = store.add(shared(), days=1)

    def refuse(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system", f"/secret/{identity}")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(ShareError, match="cannot delete links") as error:
        store.delete(identity, token)
    assert identity not in str(error.value) + caplog.text
    clock.seconds += 2 * DAY
    assert store.sweep() == 0


def test_only_the_owner_deletes(store):
    identity, token = store.add(shared(), days=1)
    other, other_token = store.add(shared(), days=1)
    for wrong in ("", "x", token[:-1], other_token, identity):
        with pytest.raises(ShareError, match="Only the browser"):
            store.delete(identity, wrong)
    store.delete(identity, token)
    with pytest.raises(ShareError, match="deleted"):
        store.open(identity)
    assert store.open(other).domain == "toy"


HOSTILE = [
    "",
    "..",
    "../../etc/passwd",
    "a/b",
    "a" * 21,
    "a" * 23,
    "a" * 21 + "\n",
    "a" * 21 + "é",
    "a" * 21 + "\0",
]


@pytest.mark.parametrize("identity", HOSTILE)
def test_a_hostile_id_reaches_no_file(store, identity):
    store.directory.mkdir()
    (store.directory.parent / "passwd.safetensors").write_bytes(b"secret")
    with pytest.raises(ShareError, match="does not exist"):
        store.open(identity)
    with pytest.raises(ShareError, match="does not exist"):
        store.delete(identity, "token")


def record(**changes):
    header = {
        "domain": "toy",
        "fingerprint": "ab",
        "edit": {},
        "panel": {},
        "created": 1,
        "expires": 4e9,
        "token": "",
    }
    return json.dumps({**header, **changes})


LATENTS = np.zeros((1, 6, 16), np.float16)
DAMAGED = {
    "empty": b"",
    "pickle": b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
    "cut": save({"latents": LATENTS}, metadata={"record": record()})[:60],
    "no header": save({"latents": LATENTS}),
    "not json": save({"latents": LATENTS}, metadata={"record": "{"}),
    "list": save({"latents": LATENTS}, metadata={"record": "[]"}),
    "no latents": save({"other": LATENTS}, metadata={"record": record()}),
    "flat": save({"latents": LATENTS[0]}, metadata={"record": record()}),
    "two": save({"latents": np.zeros((2, 6, 16), np.float16)}, metadata={"record": record()}),
    "nan": save({"latents": np.full((1, 6, 16), np.nan, np.float16)}, metadata={"record": record()}),
    "text strength": save({"latents": LATENTS}, metadata={"record": record(edit={"a": "1"})}),
    "truth as strength": save({"latents": LATENTS}, metadata={"record": record(edit={"a": True})}),
    "endless strength": save({"latents": LATENTS}, metadata={"record": record(edit={"a": math.inf})}),
    "many edits": save(
        {"latents": LATENTS}, metadata={"record": record(edit={str(i): 1 for i in range(999)})}
    ),
    "long name": save({"latents": LATENTS}, metadata={"record": record(domain="x" * 999)}),
    "nested panel": save({"latents": LATENTS}, metadata={"record": record(panel={"source": {}})}),
    "endless date": save({"latents": LATENTS}, metadata={"record": record(expires=math.inf)}),
    "deep": save({"latents": LATENTS}, metadata={"record": '{"a": ' + "[" * 50_000 + "]" * 50_000 + "}"}),
    "large strength": save({"latents": LATENTS}, metadata={"record": record(edit={"a": 10**400})}),
    "no date": save({"latents": LATENTS}, metadata={"record": record(expires=None)}),
    "large": save({"latents": np.zeros((1, 99, 512), np.float64)}, metadata={"record": record()}),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_record_is_refused_and_not_deleted(store, kind):
    store.record_bytes = 200_000
    store.directory.mkdir()
    path = store.directory / f"{'a' * 22}.safetensors"
    path.write_bytes(DAMAGED[kind])
    with pytest.raises(ShareError, match="damaged"):
        store.open("a" * 22)
    assert store.sweep() == 0
    assert path.exists()


def test_a_link_to_a_file_elsewhere_is_not_followed(store, tmp_path):
    identity, _ = store.add(shared(), days=1)
    moved = tmp_path / "elsewhere.safetensors"
    (store.directory / f"{identity}.safetensors").rename(moved)
    (store.directory / f"{identity}.safetensors").symlink_to(moved)
    with pytest.raises(ShareError, match="does not exist"):
        store.open(identity)


def test_records_and_folder_are_bounded(store):
    with pytest.raises(ShareError, match="too large"):
        ShareStore(store.directory, record_bytes=500).add(shared(), days=1)
    few = ShareStore(store.directory, count=2)
    few.add(shared(), days=1)
    few.add(shared(), days=1)
    with pytest.raises(ShareError, match="used up"):
        few.add(shared(), days=1)
    with pytest.raises(ShareError, match="used up"):
        ShareStore(store.directory, total_bytes=1200).add(shared(), days=1)


@pytest.mark.parametrize("days", [0, -1, 366])
def test_the_life_of_a_link_is_bounded(store, days):
    with pytest.raises(ShareError, match="1 to 365 days"):
        store.add(shared(), days=days)


def test_several_visitors_may_share_at_once(store):
    found = []
    threads = [threading.Thread(target=lambda: found.append(store.add(shared(), days=1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({identity for identity, _ in found}) == 8
    assert all(store.open(identity).edit == shared().edit for identity, _ in found)


def test_a_folder_that_cannot_be_written_is_said_without_its_path(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ShareError, match="cannot store links") as error:
        ShareStore(tmp_path / "file" / "shares").add(shared(), days=1)
    assert str(tmp_path) not in str(error.value)


def test_records_are_private_to_the_server(store):
    identity, _ = store.add(shared(), days=1)
    if os.name == "posix":
        assert (store.directory / f"{identity}.safetensors").stat().st_mode & 0o077 == 0
        assert store.directory.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("changes", [{"edit": {"a": math.nan}}, {"domain": "x" * 601}])
def test_what_cannot_be_opened_is_not_stored(changes):
    with pytest.raises(ShareError):
        shared(**changes)
