"""Whether files of the cache are those that the manifest means, by their SHA-256.

An entry without a published hash is pinned by where it comes from (a commit, the user's own folder): the hash
of what was fetched first is remembered beside it, and from then on the file is checked like every other.
"""

import json
from pathlib import Path

from backends import cache, sources
from backends.manifest import Entry
from backends.sources import Member

RECORD = "state.json"  # what a conversion was made from, and its own SHA-256
FIRST = "state.first.json"  # member -> SHA-256 of what was fetched first


def there(entry: Entry) -> bool:
    """Whether files of the right sizes are in the cache; reads none of them."""
    files = {cache.folder() / entry.name / key: member for key, member in entry.members.items()}
    return all(file.is_file() and member.fits(file.stat().st_size) for file, member in files.items())


def missing(entry: Entry) -> list[str]:
    """Members that are not in the cache as they should be."""
    return [key for key, member in entry.members.items() if not _intact(entry, key, member)]


def fingerprint(entry: Entry) -> str:
    """Tells one version of the weights from another; see `Entry.fingerprint`."""
    return entry.fingerprint({} if all(m.sha256 for m in entry.members.values()) else _first(entry))


def converted(file: Path, key: str) -> bool:
    """Whether `file` is the conversion with this key, unchanged."""
    try:
        record = json.loads(file.with_name(RECORD).read_text())
        return record["key"] == key and record["sha256"] == cache.digest(file)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def accepted(entry: Entry, key: str, member: Member, scratch: Path) -> bool:
    """Whether `scratch / key` is what was expected; the hash of what nothing is known of is remembered.

    Needs the lock of the cache.
    """
    sha256 = sources.digest(scratch / key)
    if member.sha256:
        return sha256 == member.sha256
    known = _first(entry)
    if known.setdefault(key, sha256) != sha256:
        return False
    (scratch / FIRST).write_text(json.dumps(known))
    cache.move(scratch / FIRST, cache.folder() / entry.name / FIRST)
    return True


def _intact(entry: Entry, key: str, member: Member) -> bool:
    file = cache.folder() / entry.name / key
    if not file.is_file() or not member.fits(file.stat().st_size):
        return False
    # put there by hand and without any known hash: whoever did that is believed
    expected = member.sha256 or _first(entry).get(key)
    return expected is None or cache.digest(file) == expected


def _first(entry: Entry) -> dict[str, str]:
    try:
        known = json.loads((cache.folder() / entry.name / FIRST).read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in known.items()} if isinstance(known, dict) else {}
