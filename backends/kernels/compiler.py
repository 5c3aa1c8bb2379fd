"""numba, and a place for its machine code that changes with the code."""

import hashlib
import logging
import os
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import numba

from backends.cache import folder

config: Any = numba.config
log = logging.getLogger(__name__)
KEPT = 4  # versions of this folder whose machine code is kept: several checkouts may share a cache


def compiled(function: Any) -> Any:
    """`function` compiled by numba, its machine code kept from start to start.

    numba itself only notices changes of the file that the function is in, not of what is inlined from others.
    Hence the folder of its cache is named by a hash of all files here.
    """
    kept, before = code_folder(), config.CACHE_DIR
    config.CACHE_DIR = str(kept or "")
    try:
        options = {"nogil": True, "fastmath": True, "error_model": "numpy", "boundscheck": False}
        return numba.njit(cache=kept is not None, **options)(function)
    finally:
        config.CACHE_DIR = before


@cache
def code_folder() -> Path | None:
    """Where machine code of the present files is kept, after removing old ones; None if nowhere."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]
    present = folder() / "kernels" / digest
    try:
        present.mkdir(parents=True, exist_ok=True)
        os.utime(present)
        if not os.access(present, os.W_OK):
            raise PermissionError(f"{present} cannot be written")
        versions = sorted(present.parent.iterdir(), key=lambda each: each.stat().st_mtime, reverse=True)
    except OSError as error:
        log.warning("kernels are compiled at every start: %s", error)
        return None
    for old in versions[KEPT:]:
        shutil.rmtree(old, ignore_errors=True)
    return present
