"""How the process asks its system for memory: half of an optimisation step would go into page faults."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Parameters of glibc's mallopt(3), and its own defaults for them
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4
_DEFAULTS = {_TRIM_THRESHOLD: 128 * 1024, _MMAP_MAX: 65536}
_KEEP = {_TRIM_THRESHOLD: 2**31 - 1, _MMAP_MAX: 0}


@contextmanager
def kept_heap() -> Iterator[None]:
    """Inside, freed tensors stay with the process and are used again; at the end they go back to the system.

    By default glibc maps every large tensor afresh, and the kernel clears each page of it at the first touch:
    forward and backward through the 1024 px generator took 4.0 s of processor time, 1.9 s with a kept heap.
    Applies to the whole process; without glibc it does nothing.
    """
    try:
        libc = ctypes.CDLL("libc.so.6" if sys.platform == "linux" else None)
        mallopt, trim = libc.mallopt, libc.malloc_trim
    except (OSError, AttributeError, TypeError):  # another system, or another C library
        yield
        return
    _set(mallopt, _KEEP)
    try:
        yield
    finally:
        _set(mallopt, _DEFAULTS)
        trim(0)


def _set(mallopt: "ctypes._NamedFuncPointer", values: dict[int, int]) -> None:
    for parameter, value in values.items():
        mallopt(parameter, value)
