"""Files of a Hugging Face Hub repository at one commit."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from backends.sources import Member, Source, SourceError, save


@dataclass
class Hub(Source):
    """A model repository, pinned: a branch or tag could change under a published share link."""

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
            with self._copy(member, folder / "hub").open("rb") as stream:
                save(stream, folder / name, member.size)

    def _copy(self, member: Member, folder: Path) -> Path:
        """The file as the Hub's own client stores it (resumed, de-duplicated, with progress)."""
        # imported here: half a second that a start with a filled cache does not need
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError

        ask = partial(hf_hub_download, self.repository, member.path, revision=self.revision, local_dir=folder)
        try:
            size = ask(dry_run=True).file_size
            if size != member.size:  # asked first, so that nothing larger is ever downloaded
                raise SourceError(f"{member.path} has {size} bytes there, {member.size} were expected")
            return Path(ask())
        except LocalEntryNotFoundError as error:  # what the client makes of every failure to connect
            raise SourceError("the Hub could not be reached (is there a network connection?)") from error
        except (EntryNotFoundError, HfHubHTTPError) as error:
            raise SourceError(f"the Hub does not have {member.path}, or not for this account") from error
        except (OSError, SourceError):  # this machine's disk, and the size above
            raise
        except Exception as error:  # of the client's HTTP library, another one in each of its major versions
            raise SourceError(f"the download broke off ({type(error).__name__})") from error
