"""Weights by name: fetched once from where they are published, checked, and kept outside the repository.

    path(name)         a published file, as it is (dlib reads its own format)
    state(name)        a state dict, converted to safetensors once
    prepare(name)      all of the work that comes before
    fingerprint(name)  tells one version of the weights from another, without reading them

Content is compared with its SHA-256 when a process first uses it (`hashes.py`), so a file that was cut off or
changed is fetched again instead of being believed.
"""

import hashlib
import json
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import plugins
from backends import cache, checkpoints, converters, hashes, manifest, sources
from backends.manifest import Entry
from config import UserError, resolve

log = logging.getLogger(__name__)

STATE = "state.safetensors"  # a conversion


class WeightsError(UserError):
    """Weights that cannot be had: says what is missing, how large it is and where to get it.

    `public` is the part for a web page; the message adds folders of this machine, for logs and the terminal.
    """

    def __init__(self, public: str, private: str = "") -> None:
        super().__init__(f"{public} {private}".strip())
        self.public = public


@dataclass(frozen=True)
class Status:
    """What `python cli.py weights` lists of one entry."""

    name: str
    description: str
    licence: str
    source: str  # where it is published
    cached: bool  # complete and unchanged
    bytes: int  # of the files in the cache
    download: int  # bytes to transfer for them; entries of one archive share it
    by_hand: str  # what to put where on a machine without a network
    optional: bool = False  # only fetched when somebody asks for it


def entries() -> dict[str, Entry]:
    """The manifest. Raises config.ConfigError."""
    return _entries(manifest.FILE)


def status(names: Collection[str] | None = None) -> list[Status]:
    """Every entry, or those with these names; reads the cached files, never the network."""
    return [
        Status(
            name=entry.name,
            description=entry.description,
            licence=entry.licence,
            source=entry.source.address,
            cached=not hashes.missing(entry),
            bytes=entry.bytes,
            download=entry.source.download(entry.members),
            by_hand=_by_hand(entry),
            optional=entry.optional,
        )
        for entry in entries().values()
        if names is None or entry.name in names
    ]


def absent(name: str) -> Entry | None:
    """The entry, if the cache lacks it; looks at sizes only, for lists that must be quick."""
    entry = entries().get(name)  # None for the path of somebody's own file
    return entry if entry and not hashes.there(entry) else None


def own(setting: str) -> Path | None:
    """The user's own file that a setting `weights:` is the path of; None for an entry of the manifest.

    Whatever cannot be the name of an entry is a path; a relative one starts at the project's folder.
    """
    return None if not setting or manifest.is_name(setting) else resolve(setting)


def fingerprint(name: str) -> str:
    """SHA-256 (hex) of the weights: the manifest's, or that of the user's own file. Raises WeightsError."""
    file = _file(name)
    return cache.digest(file) if file else hashes.fingerprint(_entry(name))


def path(name: str, member: str | None = None) -> Path:
    """The verified file, fetched if need be. `member` may be left out if the entry has only one.

    Raises WeightsError.
    """
    entry = _entry(name)
    member = next(iter(entry.members)) if member is None and len(entry.members) == 1 else member
    if member not in entry.members:
        raise WeightsError(
            f"the weights {name} have no file {member!r}; there are: {', '.join(entry.members)}"
        )
    fetch(name)
    return cache.folder() / name / member


def state(name: str, plugin: str = "") -> dict[str, Tensor]:
    """Tensors (on the processor) by key, of an entry of the manifest or of the user's own file.

    With `plugin` ("generators/stylegan2") such a file may be a checkpoint in any public format; without, it
    is a `.safetensors` that is read as it is. Raises WeightsError, and CheckpointError for other checkpoints.
    """
    if file := own(name) if plugin else _file(name):
        return checkpoints.load(file, plugin) if plugin else _load(file)
    prepare(name)
    return _load(cache.folder() / name / STATE if _entry(name).converter else path(name))


def prepare(name: str) -> None:
    """Brings an entry into the cache and converts it, without loading it. Raises WeightsError."""
    entry = _entry(name)
    if not entry.converter:
        return fetch(name)
    file = cache.folder() / name / STATE
    if not hashes.converted(file, _conversion(entry)):
        fetch(name)
        with _storing(entry) as scratch:
            key = _conversion(entry)
            if not hashes.converted(file, key):  # another process may have been first
                _convert(entry, key, scratch)


def fetch(name: str) -> None:
    """Brings what is missing of an entry, or has changed, into the cache. Raises WeightsError."""
    entry = _entry(name)
    if not hashes.missing(entry):
        return
    with _storing(entry) as scratch:
        missing = {key: entry.members[key] for key in hashes.missing(entry)}
        if not missing:  # another process was first
            return
        log.info("fetching the weights %s (%s) from %s", name, _size(entry), entry.source.address)
        try:
            downloads = cache.folder() / "downloads"
            downloads.mkdir(exist_ok=True)
            entry.source.fetch(missing, scratch, downloads)
        except sources.SourceError as error:
            raise _unavailable(entry, str(error)) from error
        for key, member in missing.items():
            if not hashes.accepted(entry, key, member, scratch):
                raise _unavailable(entry, f"{key} does not have the expected SHA-256")
            cache.move(scratch / key, cache.folder() / name / key)


@lru_cache(maxsize=4)
def _entries(file: Path) -> dict[str, Entry]:
    return manifest.load(file)


def _entry(name: str) -> Entry:
    known = entries()
    if name not in known:
        raise WeightsError(f"no weights are called {name!r}; there are: {', '.join(known)}")
    return known[name]


def _file(name: str) -> Path | None:
    """As `own`, but raises WeightsError when there is no such file."""
    file = own(name)
    if file and not file.is_file():
        raise WeightsError(
            f"there is no file {file.name}, and no weights are called so", f"(looked for {file})"
        )
    return file


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file.name} is not a safetensors file, or is cut off: {error}") from error


def _conversion(entry: Entry) -> str:
    """Changes with the weights and the code that converts them (its own module and the shared readers)."""
    package = Path(converters.__file__).parent
    code = [*sorted(package.glob("_[!_]*.py")), package / f"{entry.converter}.py"]
    digests = [sources.digest(file) for file in code if file.is_file()]
    return hashlib.sha256("\n".join([hashes.fingerprint(entry), *digests]).encode()).hexdigest()


def _convert(entry: Entry, key: str, scratch: Path) -> None:
    place = cache.folder() / entry.name
    converter = plugins.build(
        converters.Converter, {"name": entry.converter}, f"{manifest.FILE.name}: {entry.name}: converter"
    )
    log.info("converting the weights %s", entry.name)
    try:
        tensors = converter.convert({member: place / member for member in entry.members})
    except converters.ConversionError as error:
        raise WeightsError(f"the weights {entry.name} cannot be converted: {error}") from error
    checkpoints.save(tensors, scratch / STATE)
    (scratch / hashes.RECORD).write_text(json.dumps({"key": key, "sha256": sources.digest(scratch / STATE)}))
    cache.move(scratch / STATE, place / STATE)
    cache.move(scratch / hashes.RECORD, place / hashes.RECORD)


@contextmanager
def _storing(entry: Entry) -> Iterator[Path]:
    """`cache.exclusive`, with an error that says what to do when the disk refuses."""
    try:
        with cache.exclusive() as scratch:
            yield scratch
    except OSError as error:
        raise WeightsError(
            f"the weights {entry.name} ({_size(entry)}) cannot be stored: {error.strerror or error}.",
            f"The cache is {cache.folder()}; {cache.VARIABLE} names another folder.",
        ) from error


def _size(entry: Entry) -> str:
    return f"{(entry.source.download(entry.members) or entry.bytes) / 1e6:.1f} MB"


def _by_hand(entry: Entry) -> str:
    files = f"{', '.join(entry.members)} into {cache.folder() / entry.name}"
    whole = f"{entry.source.container} into {cache.folder() / 'downloads'}, or "
    return whole + files if entry.source.container else files


def _unavailable(entry: Entry, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights {entry.name} ({_size(entry)}) are missing and could not be fetched: {reason}. "
        f"They come from {entry.source.address}.",
        f"To fill the cache by hand, put {_by_hand(entry)}.",
    )
