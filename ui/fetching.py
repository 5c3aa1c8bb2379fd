"""Weights that a domain still needs: what they are, how large, which licence, how far they have come."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from backends import Backend, cache, weights
from backends.manifest import Entry
from editor import Editor
from ui.pictures import status
from ui.widgets import Update

LOOK = 0.5  # seconds between two looks at the growing cache


class Download(threading.Thread):
    """One entry on its way; all visitors who need it watch the same one."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(name="fetch", daemon=True)
        self.entry = entry
        self.failure: Exception | None = None
        self.before: int | None = None  # bytes of the cache when it began; None while it waits for its turn

    def run(self) -> None:
        try:
            with _turn:
                self.before = _size(cache.folder())
                weights.prepare(self.entry.name)
        except Exception as error:
            self.failure = error
        finally:
            with _lock:
                del _running[self.entry.name]

    def line(self, title: str) -> Update:
        """For the status line."""
        entry, size = self.entry, max(self.entry.download, 1)
        text = f"{title} needs {entry.description}. Fetching it from {entry.source.address} ({entry.licence})"
        came = 0 if self.before is None else max(_size(cache.folder()) - self.before, 0)
        done = min(came / size, 1.0)
        progress = f"{done * size / 1e6:.0f} of {size / 1e6:.0f} MB" if done < 1 else "unpacking"
        if self.before is None and _turn.locked():
            progress += ", after another download"
        return {"status": status(f"{text}: {progress}", "busy", done)}


_running: dict[str, Download] = {}  # by name of the entry
_lock = threading.Lock()  # of `_running`
_turn = threading.Lock()  # one download after the other: the growth of the cache is then that of this one


def missing(editor: Editor, *parts: Backend) -> list[Entry]:
    """Entries of the manifest that these parts of the domain (by default all) read and the cache lacks."""
    required = editor.required(*parts)
    return [entry for name, entry in weights.entries().items() if name in required and entry.missing()]


def fetched(editor: Editor, *parts: Backend) -> Iterator[Update]:
    """Brings the missing weights, and tells the status line about it. Raises WeightsError.

    Who stops listening stops nothing: the download goes on for the next one who asks.
    """
    for entry in missing(editor, *parts):
        with _lock:
            if (download := _running.get(entry.name)) is None:
                download = _running[entry.name] = Download(entry)
                download.start()
        while download.is_alive():
            yield download.line(editor.domain.title)
            download.join(LOOK)
        if download.failure:
            raise download.failure


def offer(editor: Editor, *parts: Backend) -> str:
    """What using these parts fetches first, for a list of choices: "downloads 133 MB, NVIDIA …"; often ""."""
    known = weights.entries()
    required = [known[name] for name in editor.required(*parts) if name in known]  # others are paths
    entries = [entry for entry in required if not entry.there()]
    if not entries:
        return ""
    licences = ", ".join(dict.fromkeys(entry.licence.partition(";")[0] for entry in entries))
    size = sum(entry.download for entry in entries)
    if size:
        return f"downloads {_readable(size)}, {licences}"
    if any(entry.optional for entry in entries):
        return f"needs files of yours, {_readable(sum(entry.bytes for entry in entries))}, {licences}"
    return ""  # from the project's own folder, at once


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(size / 1e6, 1):.0f} MB"


def _size(folder: Path) -> int:
    """Bytes below a folder in which files come and go."""
    total, deadline = 0, time.monotonic() + 1
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.stat().st_size
        except OSError:
            continue  # moved or deleted since it was listed
        if time.monotonic() > deadline:
            break
    return total
