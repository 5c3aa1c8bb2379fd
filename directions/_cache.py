"""Keeps what sources measure on a generator, in memory and on disk, and what they read."""

import hashlib
import json
import logging
import os
import tempfile
import weakref
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends import cache
from backends.generators import Generator
from config import ConfigError, resolve

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Measure = Callable[..., dict[str, Tensor]]
_kept: list[dict[int, Any]] = []  # of every remembered function


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Keeps the results of `function(generator, *hashable)` while that very generator object lives.

    Generators are mutable dataclasses, hence not hashable, and `lru_cache` would keep their weights alive.
    """
    kept: dict[int, dict[tuple[Any, ...], Result]] = {}
    _kept.append(kept)

    @wraps(function)
    def wrapper(generator: Generator, *arguments: Any) -> Result:
        if id(generator) not in kept:
            kept[id(generator)] = {}
            weakref.finalize(generator, kept.pop, id(generator), None)
        results = kept[id(generator)]
        if arguments not in results:
            results[arguments] = function(generator, *arguments)
        return results[arguments]

    return wrapper


def forget() -> None:
    """Drops all remembered results, for measurements."""
    for kept in _kept:
        kept.clear()


def by_file(reader: Callable[[Path], Result]) -> Callable[[str], Result]:
    """`reader` for the file that a setting names, which is read again when it has changed.

    Raises ConfigError when there is no such file.
    """
    kept = lru_cache(maxsize=8)(lambda path, changed: reader(path))

    @wraps(reader)
    def wrapper(file: str) -> Result:
        path = resolve(file)
        if not file or not path.is_file():
            raise ConfigError(f"{Path(file).name or 'file:'}: there is no such file of directions")
        return kept(path, path.stat().st_mtime_ns)

    return wrapper


def on_disk(version: int) -> Callable[[Measure], Measure]:
    """`remembered`, and kept in the cache folder by the generator's weights and the arguments (JSON values).

    A new `version` forgets what the function returned before it changed. A folder that cannot be written, or
    a file that cannot be read, only costs the time to measure again.
    """

    def decorated(function: Measure) -> Measure:
        @wraps(function)
        def wrapper(generator: Generator, *arguments: Any) -> dict[str, Tensor]:
            key = [function.__module__, function.__name__, version, generator.fingerprint, arguments]
            name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
            file = cache.folder() / "directions" / f"{name}.safetensors"
            try:
                return {key: value.to(generator.mean().device) for key, value in load_file(file).items()}
            except (OSError, SafetensorError):
                result = function(generator, *arguments)
            _save(result, file)
            return result

        return remembered(wrapper)

    return decorated


def _save(tensors: dict[str, Tensor], file: Path) -> None:
    """Atomically: another process that measures the same only does so in vain."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent) as scratch:
            partial = Path(scratch) / file.name
            save_file({key: value.cpu().contiguous() for key, value in tensors.items()}, partial)
            os.replace(partial, file)
    except OSError as error:
        log.warning("measured directions are not kept: %s", error)
