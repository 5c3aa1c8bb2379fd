"""Compiled loops that read maps through a matrix, in the order of the blocks.

Maps are as in `separable_loops.py`: (row, group of WIDTH channels, column, channel of the group).
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, no_type_check

from backends.kernels import simd
from backends.kernels.compiler import compiled
from backends.kernels.simd import ROWS, WIDTH

PANEL = max(16, WIDTH)  # outputs that are read at a time
_read = simd.make_tile(ROWS, PANEL // WIDTH, activate=False)


@compiled
@no_type_check
def read_rows(
    x: Any, side: int, channels: int, matrix: Any, zeros: Any, outputs: int, begin: int, end: int, out: Any
) -> None:
    """Rows begin ... end - 1 of maps @ matrix, (row, column, outputs); a side has at least ROWS places."""
    for y in range(begin, end):
        for first in range(0, side, ROWS):
            column = min(first, side - ROWS)  # the last tile may do some places again
            for panel in range(0, outputs, PANEL):
                _read(
                    x, y * side * channels + column * WIDTH, side * WIDTH, channels // WIDTH,
                    matrix, panel * channels, zeros, 0, zeros, 0,
                    out, (y * side + column) * outputs + panel, outputs, WIDTH,
                )  # fmt: skip
