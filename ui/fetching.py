"""Weights that a domain still needs: what they are, how large, which licence, how far they have come."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from backends import cache, weights
from backends.weights import Status
from editor import Editor
from ui.pictures import status

LOOK = 0.5  # seconds between two looks at the growing cache


def missing(editor: Editor) -> list[Status]:
    """Entries of the manifest that the domain reads and the cache lacks."""
    required = editor.required()
    return [entry for entry in weights.status() if entry.name in required and not entry.cached]


def fetched(editor: Editor) -> Iterator[dict[str, Any]]:
    """Brings the missing weights, and tells the status line about it. Raises WeightsError."""
    for entry in missing(editor):
        failure: list[Exception] = []
        worker = threading.Thread(target=_fetch, args=(entry.name, failure), name="fetch", daemon=True)
        text = f"First use of {editor.domain.title}: fetching {entry.description} ({entry.licence})"
        before, size = _size(cache.folder()), max(entry.download, 1)
        worker.start()
        while True:
            done = min(max(_size(cache.folder()) - before, 0) / size, 1.0)
            line = f"{text}, {done * size / 1e6:.0f} of {size / 1e6:.0f} MB"
            yield {"status": status(line, "busy", done)}
            worker.join(LOOK)
            if not worker.is_alive():
                break
        if failure:
            raise failure[0]


def _fetch(name: str, failure: list[Exception]) -> None:
    try:
        weights.fetch(name)
    except Exception as error:
        failure.append(error)


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
