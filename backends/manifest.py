"""The manifest `weights.yaml`: where each set of weights is published, and how much of it the cache has.

Files are compared with their SHA-256. An entry without a published hash is pinned by where it comes from (a
commit, the user's own folder): the hash of what was fetched first is remembered beside it, and from then on
the file is checked like every other.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import config
import plugins
from backends import cache, sources
from backends.sources import Member, Source

FILE = Path(__file__).with_name("weights.yaml")
FIRST = "state.first.json"  # member -> SHA-256 of what was fetched first


@dataclass
class Settings:
    """One entry as it is written in the manifest."""

    description: str
    licence: str
    source: dict[str, Any]
    members: dict[str, dict[str, Any]]
    converter: str = ""
    optional: bool = False


@dataclass(frozen=True)
class Entry:
    """One set of weights: files of one source, used together."""

    name: str
    description: str  # one line
    licence: str
    source: Source
    members: dict[str, Member]  # by file name in the cache
    converter: str  # module of backends/converters/ that makes the state dict, "" = none is needed
    optional: bool = False  # of a large public model: fetched when somebody chooses it, not beforehand

    @property
    def folder(self) -> Path:
        """Where the cache keeps it."""
        return cache.folder() / self.name

    @property
    def bytes(self) -> int:
        """Of all members together."""
        return sum(member.size for member in self.members.values())

    @property
    def download(self) -> int:
        """Bytes to transfer for it; entries of one archive share it."""
        return self.source.download(self.members)

    @property
    def by_hand(self) -> str:
        """What to put where on a machine without a network."""
        files = f"{', '.join(self.members)} into {self.folder}"
        whole = f"{self.source.container} into {cache.folder() / 'downloads'}, or "
        return whole + files if self.source.container else files

    def there(self) -> bool:
        """Whether files of the right sizes are in the cache; reads none of them, so it is quick."""
        files = {self.folder / key: member for key, member in self.members.items()}
        return all(file.is_file() and member.fits(file.stat().st_size) for file, member in files.items())

    def missing(self) -> dict[str, Member]:
        """Members that are not in the cache, or have changed since they came there."""
        hashes = self._hashes()
        return {key: member for key, member in self.members.items() if not self._intact(key, hashes[key])}

    def fingerprint(self) -> str:
        """SHA-256 (hex) of the only member, or of the list of members as `sha256sum` would print it."""
        hashes = self._hashes()
        if len(hashes) == 1 and (only := next(iter(hashes.values()))):
            return only
        lines = [f"{sha256 or self.name}  {name}\n" for name, sha256 in sorted(hashes.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def accept(self, key: str, scratch: Path) -> bool:
        """Moves `scratch / key` into the cache if it is that member; the hash of what nothing is known of is
        remembered. Needs the lock of the cache.
        """
        sha256, known = sources.digest(scratch / key), self._hashes()
        if (known[key] or sha256) != sha256:
            return False
        if not known[key]:
            (scratch / FIRST).write_text(json.dumps(known | {key: sha256}))
            cache.move(scratch / FIRST, self.folder / FIRST)
        cache.move(scratch / key, self.folder / key)
        return True

    def _intact(self, key: str, sha256: str) -> bool:
        file = self.folder / key
        if not file.is_file() or not self.members[key].fits(file.stat().st_size):
            return False
        # put there by hand and without any known hash: whoever did that is believed
        return not sha256 or cache.digest(file) == sha256

    def _hashes(self) -> dict[str, str]:
        """SHA-256 of each member: that of the manifest, or of what was fetched first; "" if there is none."""
        published = {key: member.sha256 for key, member in self.members.items()}
        if all(published.values()):
            return published
        try:
            first = json.loads((self.folder / FIRST).read_text())
        except (OSError, ValueError):
            return published
        known = first if isinstance(first, dict) else {}
        return {key: sha256 or str(known.get(key, "")) for key, sha256 in published.items()}


@lru_cache(maxsize=4)
def load(file: Path = FILE) -> dict[str, Entry]:
    """The entries of a manifest by name. Raises config.ConfigError, which names file, entry and key."""
    return {
        name: _entry(name, settings, f"{file.name}: {name}") for name, settings in config.load(file).items()
    }


def is_name(text: str) -> bool:
    """Whether an entry may be called so: it names a folder of the cache, and cannot be taken for a path."""
    return re.fullmatch(r"[a-z0-9_]+", text) is not None


def _entry(name: str, raw: object, where: str) -> Entry:
    if not is_name(name):
        raise config.ConfigError(f"{where}: names have lower-case letters, digits and underscores only")
    if not isinstance(raw, Mapping):
        raise config.ConfigError(f"{where}: expected a mapping with description, licence, source and members")
    settings = config.checked(Settings, {str(key): value for key, value in raw.items()}, where)
    for member in settings.members:
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", member) or member.startswith("state."):
            raise config.ConfigError(f"{where}: members: {member!r} cannot be a file of the cache")
    if not settings.members:
        raise config.ConfigError(f"{where}: members: at least one is needed")
    members = {
        key: config.checked(Member, member, f"{where}: members: {key}")
        for key, member in settings.members.items()
    }
    source = plugins.build(Source, settings.source, f"{where}: source")
    for key, member in members.items():
        if not member.sha256 and not source.pinned:
            raise config.ConfigError(f"{where}: members: {key}: sha256 is needed for files of this source")
    return Entry(
        name, settings.description, settings.licence, source, members, settings.converter, settings.optional
    )
