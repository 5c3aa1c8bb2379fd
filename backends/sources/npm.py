"""Members of a package archive of npm, JavaScript's package index.

npm only downloads (`npm pack`); the archive is read as the tar it is, nothing in it is installed or run.
"""

from dataclasses import dataclass
from pathlib import Path
from shutil import which
from typing import ClassVar

from backends.sources import SourceError
from backends.sources.package import NAME, PLACE, Package


@dataclass
class Npm(Package):
    """One pinned release, whose archive is called as npm calls it: owner-name-version.tgz."""

    pinned: ClassVar[bool] = True  # by the hash of the archive
    endings: ClassVar[tuple[str, ...]] = (".tgz",)
    projects: ClassVar[str] = rf"(@{NAME}/)?{NAME}"

    @property
    def address(self) -> str:
        return f"the npm package {self.project} {self.version}"

    def _downloaded(self, folder: Path) -> Path:
        """The archive, fetched by npm into `folder` and checked."""
        npm = which("npm")
        if npm is None:
            raise SourceError("the program npm is not installed (it comes with Node.js)")
        scratch = folder / "npm"
        (scratch / PLACE).mkdir(parents=True)
        wanted = f"{self.project}@{self.version}"
        options = ["--pack-destination", PLACE, "--ignore-scripts", "--no-update-notifier"]
        return self._delivered([npm, "pack", wanted, *options], scratch)

    def _reason(self, said: str) -> str:
        return "npm could not download it (is there a network connection?)"
