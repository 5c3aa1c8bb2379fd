"""The manifest `weights.yaml`: where each set of weights is published, its hashes, size and licence."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import config
import plugins
from backends.sources import Member, Source

FILE = Path(__file__).with_name("weights.yaml")


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
    def bytes(self) -> int:
        """Of all members together."""
        return sum(member.size for member in self.members.values())

    def fingerprint(self, known: Mapping[str, str]) -> str:
        """SHA-256 (hex) of the only member, or of the list of members as `sha256sum` would print it.

        `known` are hashes of members for which the manifest has none.
        """
        hashes = {name: member.sha256 or known.get(name, "") for name, member in self.members.items()}
        if len(hashes) == 1 and (only := next(iter(hashes.values()))):
            return only
        lines = [f"{sha256 or self.name}  {name}\n" for name, sha256 in sorted(hashes.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


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
            raise config.ConfigError(
                f"{where}: members: {member!r} cannot be the name of a file in the cache"
            )
    if not settings.members:
        raise config.ConfigError(f"{where}: members: at least one is needed")
    members = {
        key: config.checked(Member, member, f"{where}: members: {key}")
        for key, member in settings.members.items()
    }
    source = plugins.build(Source, settings.source, f"{where}: source")  # type: ignore[type-abstract]
    for key, member in members.items():
        if not member.sha256 and not source.pinned:
            raise config.ConfigError(f"{where}: members: {key}: sha256 is needed for files of this source")
    return Entry(
        name, settings.description, settings.licence, source, members, settings.converter, settings.optional
    )
