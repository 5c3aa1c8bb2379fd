"""Weights by name: fetched once from where they are published, checked, and kept outside the repository.

    path(name)         a published file, as it is (dlib reads its own format)
    state(name)        a state dict, converted to safetensors once
    prepare(name)      all of the work that comes before
    fingerprint(name)  tells one version of the weights from another, without reading them

Content is compared with its SHA-256 when a process first uses it (`manifest.py`), so a file that was cut off
or changed is fetched again instead of being believed.
"""

import hashlib
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

import plugins
from backends import cache, checkpoints, converters, manifest, sources
from backends.manifest import Entry
from backends.untrusted import FileError
from config import UserError, resolve

log = logging.getLogger(__name__)

STATE = "state.safetensors"  # a conversion
RECORD = "state.json"  # what the conversion was made from, and its own SHA-256


class WeightsError(UserError):
    """Weights that cannot be had: says what is missing, how large it is and where to get it.

    `public` is the part for a web page; the message adds folders of this machine, for logs and the terminal.
    """

    def __init__(self, public: str, private: str = "") -> None:
        super().__init__(f"{public} {private}".strip())
        self.public = public


def entries() -> dict[str, Entry]:
    """The manifest. Raises config.ConfigError."""
    return manifest.load(manifest.FILE)


def own(setting: str) -> Path | None:
    """The user's own file that a setting `weights:` is the path of; None for an entry of the manifest.

    Whatever cannot be the name of an entry is a path; a relative one starts at the project's folder.
    """
    return None if not setting or manifest.is_name(setting) else resolve(setting)


def fingerprint(name: str) -> str:
    """SHA-256 (hex) of the weights: the manifest's, or that of the user's own file. Raises WeightsError."""
    file = _file(name)
    return cache.digest(file) if file else _entry(name).fingerprint()


def path(name: str, member: str | None = None) -> Path:
    """The verified file, fetched if need be. `member` may be left out if the entry has only one.

    Raises WeightsError.
    """
    entry = _entry(name)
    member = next(iter(entry.members)) if member is None and len(entry.members) == 1 else member
    if member not in entry.members:
        raise WeightsError(f"the weights {name} have no file {member!r}, only {', '.join(entry.members)}")
    fetch(name)
    return entry.folder / member


def state(name: str, plugin: str = "") -> dict[str, Tensor]:
    """Tensors (on the processor) by key, of an entry of the manifest or of the user's own file.

    With `plugin` ("generators/stylegan2") such a file may be a checkpoint in any public format; without, it
    is a `.safetensors` that is read as it is. Raises WeightsError, and CheckpointError for other checkpoints.
    """
    if file := own(name) if plugin else _file(name):
        return checkpoints.load(file, plugin) if plugin else _load(file)
    prepare(name)
    return _load(_entry(name).folder / STATE if _entry(name).converter else path(name))


def prepare(name: str) -> None:
    """Brings an entry into the cache and converts it, without loading it. Raises WeightsError."""
    entry = _entry(name)
    if not entry.converter:
        return fetch(name)
    if not _converted(entry):
        fetch(name)
        with _storing(entry) as scratch:
            if not _converted(entry):  # another process may have been first
                _convert(entry, scratch)


def fetch(name: str) -> None:
    """Brings what is missing of an entry, or has changed, into the cache. Raises WeightsError."""
    entry = _entry(name)
    if not entry.missing():
        return
    with _storing(entry) as scratch:
        missing = entry.missing()
        if not missing:  # another process was first
            return
        log.info("fetching the weights %s (%s) from %s", name, _size(entry), entry.source.address)
        try:
            downloads = cache.folder() / "downloads"
            downloads.mkdir(exist_ok=True)
            entry.source.fetch(missing, scratch, downloads)
        except sources.SourceError as error:
            raise _unavailable(entry, str(error)) from error
        for key in missing:
            if not entry.accept(key, scratch):
                raise _unavailable(entry, f"{key} does not have the expected SHA-256")


def _entry(name: str) -> Entry:
    known = entries()
    if name not in known:
        raise WeightsError(f"no weights are called {name!r}; there are: {', '.join(known)}")
    return known[name]


def _file(name: str) -> Path | None:
    """As `own`, but raises WeightsError when there is no such file."""
    file = own(name)
    if file and not file.is_file():
        reason = f"there is no file {file.name}, and no weights are called so"
        raise WeightsError(reason, f"(looked for {file})")
    return file


def _load(file: Path) -> dict[str, Tensor]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise WeightsError(f"{file.name} is not a safetensors file, or is cut off: {error}") from error


def _conversion(entry: Entry) -> str:
    """Changes with the weights and the code that converts them."""
    code = Path(converters.__file__).with_name(f"{entry.converter}.py")
    return hashlib.sha256(f"{entry.fingerprint()}\n{sources.digest(code)}".encode()).hexdigest()


def _converted(entry: Entry) -> bool:
    """Whether the cache has the conversion of these very weights, unchanged."""
    try:
        record = json.loads((entry.folder / RECORD).read_text())
        digest = cache.digest(entry.folder / STATE)
    except (OSError, ValueError):
        return False
    return record == {"key": _conversion(entry), "sha256": digest}


def _convert(entry: Entry, scratch: Path) -> None:
    converter = plugins.find(converters.Converter, entry.converter)()  # pyright: ignore[reportAbstractUsage]
    log.info("converting the weights %s", entry.name)
    try:
        tensors = converter.convert({member: entry.folder / member for member in entry.members})
    except FileError as error:
        raise WeightsError(f"the weights {entry.name} cannot be converted: {error}") from error
    checkpoints.save(tensors, scratch / STATE)
    record = {"key": _conversion(entry), "sha256": sources.digest(scratch / STATE)}
    (scratch / RECORD).write_text(json.dumps(record))
    cache.move(scratch / STATE, entry.folder / STATE)
    cache.move(scratch / RECORD, entry.folder / RECORD)


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
    return f"{(entry.download or entry.bytes) / 1e6:.1f} MB"


def _unavailable(entry: Entry, reason: str) -> WeightsError:
    return WeightsError(
        f"the weights {entry.name} ({_size(entry)}) are missing and could not be fetched: {reason}. "
        f"They come from {entry.source.address}.",
        f"To fill the cache by hand, put {entry.by_hand}.",
    )
