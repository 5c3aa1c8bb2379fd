"""Files that the project itself carries, in its `weights/` folder (small ones that are ours to publish)."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from backends.sources import Member, Source
from backends.sources.file import copy

FOLDER = Path(__file__).resolve().parents[2] / "weights"


@dataclass
class Repository(Source):
    """The checkout; nothing to configure."""

    @property
    def address(self) -> str:
        return "the folder weights/ of this project"

    def download(self, members: Mapping[str, Member]) -> int:
        return 0

    def fetch(self, members: Mapping[str, Member], folder: Path, downloads: Path) -> None:
        copy(FOLDER, members, folder)
