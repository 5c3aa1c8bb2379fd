"""Compiled loops (numba), each beside the slow reference that a test compares it with, and why it is there.

| compiled | the same in plain torch | compared by (in `tests/`) | a 1024 px picture | without |
|--|--|--|--|--|
| separable.py | separable_reference.py | test_mobilestylegan.py | MobileStyleGAN: 0.15 s | 0.8 s |
| winograd.py | winograd_reference.py | test_winograd.py, test_stylegan.py | StyleGAN2: 0.83 s | 2.9 s |
| transport.py | ../transport.py | test_transport.py | drag of a residual: 1.25 of a plain one | 1.6 times |

Two cores of a Xeon at 2.5 GHz with AVX-512; README names the commands that measure it. `*_loops.py` and
`*_tiles.py` hold what numba compiles, `simd.py` its vector instructions, `threads.py` memory and threads,
`compiler.py` the place of the machine code.
A machine without numba, or with another processor than these loops are for, computes the references.
"""

import logging
from functools import cache
from importlib import import_module
from types import ModuleType

log = logging.getLogger(__name__)


@cache
def compiled(name: str) -> ModuleType | None:
    """The module `name` of this folder; None without the package numba.

    Imported on first use only, as numba takes a second to import.
    """
    try:
        return import_module(f"{__name__}.{name}")
    except ImportError as error:
        if error.name and error.name.split(".")[0] not in ("numba", "llvmlite"):
            raise
        log.info("plain torch draws the pictures; with the package numba they come several times faster")
        return None
