"""The folder outside the repository that keeps fetched weights.

It is `~/.cache/semantic-sliders`, or the folder that SEMANTIC_SLIDERS_CACHE names, and may be deleted at any
time, filled by hand, or be read-only once it is filled. `<entry>/<file>` are published files,
`<entry>/state.*` their conversion, `downloads/` whole archives; `directions/` is what was measured and
`kernels/` what was compiled here; `.partial/` and `.lock` belong to the process that writes.
"""

import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from backends import sources

log = logging.getLogger(__name__)

VARIABLE = "SEMANTIC_SLIDERS_CACHE"


def folder() -> Path:
    """The cache; it need not exist yet."""
    return Path(os.environ.get(VARIABLE) or "~/.cache/semantic-sliders").expanduser().absolute()


def digest(file: Path) -> str:
    """SHA-256 (hex) of the file, read once in a process as long as the file stays untouched."""
    stat = file.stat()
    return _digest(file, stat.st_mtime_ns, stat.st_ino, stat.st_size)


@lru_cache(maxsize=256)
def _digest(file: Path, changed: int, inode: int, size: int) -> str:
    return sources.digest(file)


def move(file: Path, target: Path) -> None:
    """Atomically, as both are in the cache: a reader sees the old file or the new one, whole."""
    target.parent.mkdir(exist_ok=True)
    file.chmod(0o644)  # another account may run the app than the one that filled the cache
    with file.open("rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(file, target)


@contextmanager
def whole(file: Path) -> Iterator[Path]:
    """A name to write to; the content becomes `file` when the block ends well, and is gone otherwise."""
    partial = file.with_name(f"{file.stem}.part{file.suffix}")  # np.save and PIL look at the suffix
    try:
        yield partial
        os.replace(partial, file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive() -> Iterator[Path]:
    """An empty folder inside the cache, while no other process or thread writes to the cache. Not reentrant.

    Raises OSError when the cache cannot be written.
    """
    folder().mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder() / ".lock")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        log.info("waiting for another process that fetches weights")
        held = lock.acquire()
    with held:
        scratch = folder() / ".partial"
        shutil.rmtree(scratch, ignore_errors=True)  # left by a process that was killed
        scratch.mkdir()
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
