"""Source: where published files come from. The contract; every other module of this folder is one kind."""

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

from tqdm import tqdm

CHUNK = 2**20  # bytes read at a time


class SourceError(RuntimeError):
    """A source that cannot deliver; the message says why, without addresses of this machine's files."""


@dataclass
class Member:
    """One published file: its path at the source, and what its content must be.

    Without `sha256` (nobody has told it, and the source is pinned otherwise) the content of the first fetch
    is believed and its hash remembered; `size` is then only about right.
    """

    path: str
    sha256: str = ""
    size: int = 0  # bytes

    def __post_init__(self) -> None:
        parts = PurePosixPath(self.path).parts
        if not parts or self.path.startswith("/") or ".." in parts or "\\" in self.path or ":" in self.path:
            raise ValueError(f"path {self.path!r} must be relative, with forward slashes and without '..'")
        if self.sha256:
            check_sha256(self.sha256)
        if self.size <= 0:
            raise ValueError(f"size must be a number of bytes above 0, it is {self.size}")

    @property
    def limit(self) -> int:
        """Bytes that the file has at most."""
        return self.size if self.sha256 else self.size + self.size // 8

    def fits(self, size: int) -> bool:
        """Whether a file with so many bytes can be this one."""
        return size == self.size if self.sha256 else abs(size - self.size) <= self.size // 8


class Source(ABC):
    """Fields of a concrete source are its keys in `weights.yaml`."""

    pinned: ClassVar[bool] = False  # whether the address alone decides the content: members need no hash

    @property
    @abstractmethod
    def address(self) -> str:
        """What a person would look for to get the files by hand."""

    @abstractmethod
    def fetch(self, members: Mapping[str, Member], folder: Path, downloads: Path) -> None:
        """Writes each of `members` as `folder / name`, at most its size; the caller checks the hashes.

        `folder` is empty and vanishes afterwards; whole archives, checked, stay in `downloads` for the next
        entry that needs them. Raises SourceError.
        """

    @property
    def container(self) -> str:
        """Name of the one published file that holds all members, "" if they are published one by one."""
        return ""

    def download(self, members: Mapping[str, Member]) -> int:
        """Bytes that travel to get `members`."""
        return sum(member.size for member in members.values())


def check_sha256(text: str) -> None:
    """Raises ValueError unless `text` is a SHA-256 as sha256sum prints it."""
    if not re.fullmatch(r"[0-9a-f]{64}", text):
        raise ValueError(f"sha256 must have 64 lower-case hexadecimal digits, it is {text!r}")


def digest(file: Path) -> str:
    """SHA-256 (hex) of the file's content."""
    sha256 = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(CHUNK):
            sha256.update(block)
    return sha256.hexdigest()


def save(read: Callable[[int], bytes], file: Path, member: Member) -> None:
    """Copies what `read` gives into `file`, with progress. SourceError unless it has the member's size.

    Stops one byte after it, so that content that unpacks to more than promised fills no disk.
    """
    copied, limit = 0, member.limit
    bar = tqdm(total=member.size, desc=file.name, unit="B", unit_scale=True, leave=False)
    with file.open("wb") as target, bar:
        while block := read(min(CHUNK, limit + 1 - copied)):
            copied += len(block)
            if copied > limit:
                raise SourceError(f"{file.name} is larger than the {limit} bytes it should have")
            target.write(block)
            bar.update(len(block))
    if not member.fits(copied):
        raise SourceError(f"{file.name} ends after {copied} of {member.size} bytes")
