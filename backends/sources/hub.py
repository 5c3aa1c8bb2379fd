"""Files of a Hugging Face Hub repository at one commit."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

from backends.sources import Member, Source, SourceError, digest, save
from backends.sources.file import VARIABLE

log = logging.getLogger(__name__)


@dataclass
class Hub(Source):
    """A model repository, pinned: a branch or tag could change under a published share link.

    A commit needs all of its digits: the Hub does not resolve abbreviated ones.
    """

    pinned: ClassVar[bool] = True  # a commit names its files by their hashes
    repository: str  # "owner/name"
    revision: str  # commit, 40 hexadecimal digits

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", self.repository, re.ASCII):
            raise ValueError(f"repository {self.repository!r} must be written owner/name")
        if not re.fullmatch(r"[0-9a-f]{40}", self.revision):
            raise ValueError(f"revision {self.revision!r} must be a commit: 40 hexadecimal digits")

    @property
    def address(self) -> str:
        return f"the Hugging Face repository {self.repository} at {self.revision[:12]}"

    def fetch(self, members: Mapping[str, Member], folder: Path, downloads: Path) -> None:
        for name, member in members.items():
            if own := _own(member):
                with own.open("rb") as stream:
                    save(stream.read, folder / name, member)
            else:
                os.replace(self._copy(member, folder / "hub"), folder / name)

    def _copy(self, member: Member, folder: Path) -> Path:
        """The file as the Hub's own client stores it (resumed, de-duplicated, with progress)."""
        # imported here: half a second that a start with a filled cache does not need
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

        ask = partial(hf_hub_download, self.repository, member.path, revision=self.revision, local_dir=folder)
        try:
            size = ask(dry_run=True).file_size
            # asked first, so that nothing larger is ever downloaded
            if size is None or not member.fits(size):
                raise SourceError(f"{member.path} has {size} bytes there, {member.size} were expected")
            file = Path(ask())
            # The Hub knows the SHA-256 of every large file of a commit.
            url = hf_hub_url(self.repository, member.path, revision=self.revision)
            known = member.sha256 or get_hf_file_metadata(url).etag or ""
        except LocalEntryNotFoundError as error:  # what the client makes of every failure to connect
            raise SourceError(
                "the Hub could not be reached (is there a network connection?); a copy of the file in the "
                f"folder that {VARIABLE} names will also do"
            ) from error
        except (EntryNotFoundError, HfHubHTTPError) as error:
            raise SourceError(f"the Hub does not have {member.path}, or not for this account") from error
        except (OSError, SourceError):  # this machine's disk, and the size above
            raise
        except Exception as error:  # of the client's HTTP library, another one in each of its major versions
            raise SourceError(f"the download broke off ({type(error).__name__})") from error
        if re.fullmatch(r"[0-9a-f]{64}", known) and digest(file) != known:
            raise SourceError(f"{member.path} does not have the expected SHA-256")
        return file


def _own(member: Member) -> Path | None:
    """The user's own copy of the file, if there is one and it is that very file."""
    place = os.environ.get(VARIABLE, "")
    file = Path(place).expanduser() / Path(member.path).name
    if not place or not file.is_file() or not member.fits(file.stat().st_size):
        return None
    if member.sha256 and digest(file) != member.sha256:
        log.warning("%s is another file than the published one; fetching that", file)
        return None
    return file
