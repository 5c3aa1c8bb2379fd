"""Members of a package archive (wheel or source distribution) of the Python package index.

pip only downloads; the archive is read as the zip or tar it is, and nothing in it is installed or imported.
(To learn the metadata of a source distribution pip does run its build script, after it has checked the hash.)
"""

import logging
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backends.sources import Member, Source, SourceError, check_sha256, digest, save

log = logging.getLogger(__name__)

COMMAND = ["-m", "pip", "download", "--no-deps", "--require-hashes", "--ignore-requires-python", "--no-input"]
COMMAND += ["--disable-pip-version-check", "--retries", "2", "--timeout", "20"]
NAME = r"\w[\w.+-]*"
PLACE = "archive"  # folder of what is downloaded, in the scratch folder
PLACES = ["--dest", PLACE, "--requirement", "requirements.txt"]


@dataclass
class Package(Source):
    """One pinned archive of one release."""

    endings: ClassVar[tuple[str, ...]] = (".whl", ".tar.gz")
    projects: ClassVar[str] = NAME  # what a project may be called, a regular expression

    project: str
    version: str
    archive: str  # file name of the wheel (.whl) or source distribution (.tar.gz)
    sha256: str  # of the archive
    size: int  # of the archive, bytes

    def __post_init__(self) -> None:
        check_sha256(self.sha256)
        for name, pattern in (("project", self.projects), ("version", NAME), ("archive", NAME)):
            if not re.fullmatch(pattern, getattr(self, name), re.ASCII):
                raise ValueError(f"{name} {getattr(self, name)!r} cannot be the name of a package")
        if not self.archive.endswith(self.endings):
            raise ValueError(f"archive {self.archive!r} must be a {' or a '.join(self.endings)}")

    @property
    def address(self) -> str:
        return f"the Python package {self.project} {self.version}, file {self.archive}"

    @property
    def container(self) -> str:
        return self.archive

    def download(self, members: Mapping[str, Member]) -> int:
        return self.size

    def fetch(self, members: Mapping[str, Member], folder: Path, downloads: Path) -> None:
        archive = downloads / self.archive
        if not self._intact(archive):
            if archive.exists():
                log.warning("%s was changed or cut off, or is another release; fetching it", archive)
            os.replace(self._downloaded(folder), archive)
        unpack = _unzip if self.archive.endswith(".whl") else _untar
        try:
            unpack(archive, members, folder)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
            raise SourceError(f"{self.archive} is not an archive that can be read") from error

    def _intact(self, archive: Path) -> bool:
        return archive.is_file() and archive.stat().st_size == self.size and digest(archive) == self.sha256

    def _downloaded(self, folder: Path) -> Path:
        """The archive, fetched by pip into `folder` and checked."""
        scratch = folder / "pip"
        scratch.mkdir()
        requirement = f"{self.project}=={self.version} --hash=sha256:{self.sha256}\n"
        (scratch / "requirements.txt").write_text(requirement)
        binary = ["--only-binary", ":all:"] if self.archive.endswith(".whl") else []
        # Run in `scratch`, as `-m` would also import pip from a folder of that name in the current one. What
        # pip stores on the way goes there too, where the page sees it grow; its progress bar goes to stderr.
        return self._delivered([sys.executable, *COMMAND, *PLACES, *binary], scratch)

    def _delivered(self, command: list[str], scratch: Path) -> Path:
        """The archive, which `command`, run in `scratch`, puts into PLACE there; checked."""
        done = subprocess.run(
            command,
            cwd=scratch,
            env=os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch)),
            stdin=subprocess.DEVNULL,
            stdout=2,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        archive = scratch / PLACE / self.archive
        if not archive.is_file():
            log.warning("%s was not delivered: %s", self.archive, done.stderr.strip())
            raise SourceError(self._reason(done.stderr))
        if not self._intact(archive):
            raise SourceError(f"{self.archive} does not have the expected SHA-256")
        return archive

    def _reason(self, said: str) -> str:
        """Why there is no archive, from what the program said."""
        if "No module named pip" in said:
            return "this Python has no pip (`python -m ensurepip` installs it)"
        if "DO NOT MATCH THE HASHES" in said:
            return "the package index offers a file with another SHA-256 than the pinned one"
        return "pip could not download it (is there a network connection?)"


def _unzip(archive: Path, members: Mapping[str, Member], folder: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        for name, member in members.items():
            if member.path not in content.namelist():
                raise SourceError(f"{archive.name} has no member {member.path}")
            with content.open(member.path) as stream:
                save(stream.read, folder / name, member)


def _untar(archive: Path, members: Mapping[str, Member], folder: Path) -> None:
    wanted = {member.path: name for name, member in members.items()}
    with tarfile.open(archive, "r|gz") as content:  # one pass: gzip cannot go back
        for info in content:
            stream = content.extractfile(info) if info.isfile() and info.name in wanted else None
            if stream is not None:
                name = wanted.pop(info.name)
                save(stream.read, folder / name, members[name])
            if not wanted:
                return
    raise SourceError(f"{archive.name} has no member {next(iter(wanted))}")
