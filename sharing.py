"""Shared pictures: a folder with one file a link, so that a link outlives the server that made it.

A record is one `.safetensors` file: W+ as float16 and, in its header, JSON with the edit, the panel and the
dates; and what a decoder adds, which holds the look of a photograph in small, unless its owner shares
without. It never holds the photograph. Reading one executes nothing, whatever a stranger put into the folder.
"""

import hashlib
import json
import logging
import math
import os
import re
import secrets
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from backends.decoders import DELTA
from config import UserError
from directions import LONGEST_ID

log = logging.getLogger(__name__)

HOUR = 3600
DAY = 24 * HOUR
IDENTITY = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)  # what secrets.token_urlsafe(16) makes: 128 bits
MOST_EDITS = 256
BROKEN = "This shared picture is damaged and cannot be opened."
GONE = "This shared picture does not exist: the link is incomplete, has expired, or was deleted by its owner."


class ShareError(UserError):
    """A picture that cannot be shared or opened; the message is for the page and names no file."""


# what a file that anybody may have put there makes a reader raise; RecursionError: JSON in JSON in JSON ...
DAMAGED = (SafetensorError, OSError, KeyError, TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class Shared:
    """What a link restores."""

    domain: str  # name of its YAML
    fingerprint: str  # Generator.fingerprint of the generator the latents were made for
    latents: Float[np.ndarray, "1 layers dim"]  # float32 in memory, float16 on disk
    edit: dict[str, float]  # direction id -> strength
    panel: dict[str, str | int]  # settings of the sliders: source, layers, count
    decoder: str = ""  # name of the decoder that draws the latents; empty = the generator itself
    delta: dict[str, np.ndarray] = field(default_factory=dict)  # of the decoder
    created: int = 0  # seconds since 1970; set by the store
    expires: int = 0

    def __post_init__(self) -> None:
        names = [self.domain, self.fingerprint, self.decoder, *self.delta, *self.edit]
        names += [*self.panel, *map(str, self.panel.values())]
        if not all(isinstance(name, str) and len(name) <= LONGEST_ID for name in names):
            raise ShareError(f"Names in a shared picture have at most {LONGEST_ID} characters.")
        if len(self.edit) > MOST_EDITS or len(self.panel) > 16:
            raise ShareError(f"A shared picture can hold at most {MOST_EDITS} slider values.")
        if not all(type(value) in (int, float) and math.isfinite(value) for value in self.edit.values()):
            raise ShareError("Slider values in a shared picture must be finite numbers.")
        if not all(type(value) in (int, str) for value in self.panel.values()):
            raise ShareError("Panel settings in a shared picture must be text or whole numbers.")
        if self.latents.ndim != 3 or len(self.latents) != 1 or not np.isfinite(self.latents).all():
            raise ShareError("A shared picture holds exactly one latent of finite numbers.")


@dataclass
class ShareStore:
    """Records in `directory`; several servers may use one directory at once."""

    directory: Path
    record_bytes: int = 1_000_000  # largest record: W+ of 18 x 512 takes 18 KB
    total_bytes: int = 2_000_000_000
    count: int = 50_000
    days: int = 365  # longest life of a link
    now: Callable[[], float] = time.time  # replaced in tests

    def add(self, shared: Shared, days: int) -> tuple[str, str]:
        """Store a record for `days` days. Returns its id, and the token with which its owner may delete it.

        Raises ShareError when it is too large or the folder is full or cannot be written.
        """
        if not 1 <= days <= self.days:
            raise ShareError(f"A link can be kept for 1 to {self.days} days.")
        identity, token = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        content = self._encoded(shared, days, token)
        if len(content) > self.record_bytes:
            what = "the generator that was tuned for it" if shared.decoder else "its latent"
            raise ShareError(
                f"This picture is too large for a link: {what} takes {len(content) / 1e6:.1f} MB of at most "
                f"{self.record_bytes / 1e6:.1f}. Download the latent instead."
            )
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(content))
            self._write(self._path(identity), content)
        except OSError as error:
            log.error("sharing failed: %s", error)
            raise ShareError("This server cannot store links now. Download the latent instead.") from error
        return identity, token

    def open(self, identity: str) -> Shared:
        """The record with this id. Raises ShareError when there is none (any more) or it is damaged."""
        return self._current(identity)[0]

    def delete(self, identity: str, token: str) -> None:
        """Remove the owner's record. Raises ShareError when there is none or the token is another's."""
        if not secrets.compare_digest(_digest(token), self._current(identity)[1]):
            raise ShareError("Only the browser that made this link can delete it.")
        try:
            self._path(identity).unlink(missing_ok=True)
        except OSError as error:
            log.error("deleting a link failed: %s", error.strerror)
            raise ShareError("This server cannot delete links now. Please try again later.") from error

    def sweep(self) -> int:
        """Delete what has expired, and what a crash left half-written. Returns how many records went.

        Reads every record, seconds for a full folder: to be called now and then, where nobody waits.
        """
        gone = 0
        for path in [*self.directory.glob("*.safetensors"), *self.directory.glob(".*.tmp")]:
            with suppress(OSError):  # finished, or deleted, by somebody else meanwhile; or not ours to delete
                if self._expired(path):
                    path.unlink()
                    gone += path.suffix != ".tmp"
        return gone

    def _expired(self, path: Path) -> bool:
        """Whether a file of this folder is of no use to anybody; damaged and foreign ones stay."""
        if path.suffix == ".tmp":
            return path.stat().st_mtime < time.time() - HOUR
        with suppress(ShareError):
            return self._read(path.stem)[0].expires <= self.now()
        return False

    def _make_room(self, size: int) -> None:
        sizes = [known for entry in os.scandir(self.directory) if (known := _size(entry)) is not None]
        if len(sizes) >= self.count or sum(sizes) + size > self.total_bytes:
            raise ShareError("This server's space for links is used up. Download the latent instead.")

    def _path(self, identity: str) -> Path:
        if not isinstance(identity, str) or not IDENTITY.fullmatch(identity):
            raise ShareError(GONE)  # also keeps every path inside the folder
        return self.directory / f"{identity}.safetensors"

    def _encoded(self, shared: Shared, days: int, token: str) -> bytes:
        created = int(self.now())
        header = {
            "domain": shared.domain,
            "fingerprint": shared.fingerprint,
            "decoder": shared.decoder,
            "edit": {name: round(float(value), 4) for name, value in shared.edit.items()},
            "panel": shared.panel,
            "created": created,
            "expires": created + days * DAY,
            "token": _digest(token),
        }
        with np.errstate(over="ignore"):
            latents = shared.latents.astype(np.float16)  # error 2^-11 of each value
        if not np.isfinite(latents).all():
            raise ShareError("This latent has values beyond 65504 and cannot be shared.")
        delta = {DELTA + name: values for name, values in shared.delta.items()}
        return save({"latents": latents, **delta}, metadata={"record": json.dumps(header)})

    def _write(self, path: Path, content: bytes) -> None:
        """All or nothing, also when the power fails: written aside, flushed, then renamed."""
        handle, scratch = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=self.directory)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(scratch, path)
        except BaseException:
            Path(scratch).unlink(missing_ok=True)
            raise
        if os.name == "posix":  # Windows can neither open nor flush a folder
            folder = os.open(self.directory, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _current(self, identity: str) -> tuple[Shared, str]:
        """As `_read`, but a record whose time is over is gone."""
        shared, digest = self._read(identity)
        if shared.expires <= self.now():
            raise ShareError(GONE)
        return shared, digest

    def _read(self, identity: str) -> tuple[Shared, str]:
        """A record, and the digest of its owner's token. Raises ShareError."""
        path = self._path(identity)
        if path.is_symlink() or not path.is_file():
            raise ShareError(GONE)
        try:
            if path.stat().st_size > self.record_bytes:
                raise ShareError(BROKEN)
            with safe_open(path, framework="numpy") as file:
                header = json.loads((file.metadata() or {})["record"])
                latents = file.get_tensor("latents").astype(np.float32)
                names = [name for name in file.keys() if name.startswith(DELTA)]  # noqa: SIM118
                delta = {name.removeprefix(DELTA): file.get_tensor(name) for name in names}
            dates = {name: int(header[name]) for name in ("expires", "created")}
            edit, panel, decoder = dict(header["edit"]), dict(header["panel"]), header.get("decoder", "")
            origin = header["domain"], header["fingerprint"]
            return Shared(*origin, latents, edit, panel, decoder, delta, **dates), str(
                header.get("token", "")
            )
        except DAMAGED as error:
            raise ShareError(BROKEN) from error


def _size(entry: "os.DirEntry[str]") -> int | None:
    """Bytes of a file; None for what is no file, or was renamed since it was listed."""
    try:
        return entry.stat().st_size if entry.is_file() else None
    except FileNotFoundError:
        return None


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def default_directory() -> Path:
    """SHARE_DIR, or a folder among the user's data."""
    if chosen := os.environ.get("SHARE_DIR"):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME") or os.environ.get("LOCALAPPDATA") or "~/.local/share"
    return Path(data).expanduser() / "semantic-sliders" / "shares"
