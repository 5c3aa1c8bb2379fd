"""Files that the user keeps on this machine, in the folder that SEMANTIC_SLIDERS_MODELS names."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from backends.sources import Member, Source, SourceError, save

VARIABLE = "SEMANTIC_SLIDERS_MODELS"


@dataclass
class File(Source):
    """A folder outside the project, for weights that are on no hub or may not be redistributed."""

    pinned: ClassVar[bool] = True  # by the user, who put the file there
    hint: str = ""  # where people get the files

    @property
    def address(self) -> str:
        return f"your own folder, named by {VARIABLE}" + (f" ({self.hint})" if self.hint else "")

    def download(self, members: Mapping[str, Member]) -> int:
        return 0

    def fetch(self, members: Mapping[str, Member], folder: Path, downloads: Path) -> None:
        place = os.environ.get(VARIABLE, "")
        if not place:
            raise SourceError(f"the environment variable {VARIABLE} is not set")
        copy(Path(place).expanduser(), members, folder)


def copy(place: Path, members: Mapping[str, Member], folder: Path) -> None:
    """Copies each of `members` from below `place` to `folder / name`. Raises SourceError."""
    for name, member in members.items():
        file = (place / member.path).resolve()
        if not file.is_relative_to(place.resolve()) or not file.is_file():  # a link could lead elsewhere
            raise SourceError(f"there is no file {member.path} in that folder")
        with file.open("rb") as stream:
            save(stream.read, folder / name, member)
