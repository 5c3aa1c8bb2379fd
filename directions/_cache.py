"""Keeps what sources measure on a generator, in memory and on disk, and what they read."""

import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends import cache
from backends.generators import Generator
from backends.untrusted import printable
from config import ConfigError, resolve

log = logging.getLogger(__name__)
Result = TypeVar("Result")
Measure = Callable[..., dict[str, Tensor]]
REMEMBERED = "_remembered"  # attribute of a generator: function -> arguments -> result
FAILURES = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, SafetensorError)


def remembered(function: Callable[..., Result]) -> Callable[..., Result]:
    """Keeps the results of `function(generator, *hashable)` with that generator, until its weights change."""

    @wraps(function)
    def wrapper(generator: Generator, *arguments: Any) -> Result:
        results = vars(generator).setdefault(REMEMBERED, {}).setdefault(wrapper, {})
        key = (generator.fingerprint, *arguments)
        if key not in results:
            if any(fingerprint != key[0] for fingerprint, *_ in results):
                results.clear()
            results[key] = function(generator, *arguments)
        return results[key]

    return wrapper


def forget(generator: Generator) -> None:
    """Drops all remembered results, for measurements."""
    vars(generator).pop(REMEMBERED, None)


def by_file(reader: Callable[[Path], Result]) -> Callable[[str], Result]:
    """`reader` for the file that a setting names, which is read again when it has changed.

    Raises ConfigError when there is no such file, or `reader` cannot make sense of it.
    """

    @lru_cache(maxsize=8)
    def kept(path: Path, changed: int) -> Result:
        try:
            return reader(path)
        except ConfigError:
            raise
        except FAILURES as error:
            reason = printable(str(error).removeprefix(f"{path.name}: ").partition("\n")[0], 300)
            raise ConfigError(f"{path.name}: not a file of directions: {reason}") from error

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
