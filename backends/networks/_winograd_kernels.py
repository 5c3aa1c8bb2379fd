"""Compiled kernels for 3x3 convolutions by Winograd's F(4x4, 3x3) (see `winograd.py`), inside the cache.

A picture is an array (row, group of WIDTH channels, column, channel of the group), flat in memory, addressed
by the offset of its first pixel and the steps from row to row and group to group. An input has one more pixel
on every side, zeros as a rule, so that no tile is special. A kernel computes some of the 4x4 tiles, which are
counted along the rows: threads share a picture by taking different ones.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, no_type_check

from numba import njit

from backends.networks import _simd
from backends.networks._simd import COLUMNS, VECTORS, WIDTH
from backends.networks._winograd_tiles import make_tile_out, tile_in

HEAD = max(16, WIDTH)  # outputs of the colours' product, three in use
ROWS = 8 if WIDTH == 16 else 4  # of a tile of a matrix product; divides every number of tiles
SKEW = 3 * WIDTH  # between matrices: at steps of a power of two they would all share one set of the cache
_product = _simd.make_tile(ROWS, VECTORS, activate=False)
_head_product = _simd.make_tile(ROWS, HEAD // WIDTH, activate=False)
_near, _apart = make_tile_out(1), make_tile_out(2)
compiled = njit(nogil=True, cache=True, fastmath=True, error_model="numpy", boundscheck=False)


@compiled
@no_type_check
def enter(
    x: Any, x_row: int, x_group: int, inputs: int, scales: Any, width: int, first: int, count: int, at: int,
    room: int, scratch: Any,
) -> None:  # fmt: skip
    """Tiles first ... first + count - 1, `width` in a row, of x * scales, transformed.

    They become tiles at ... at + count - 1 of the `room` tiles that `scratch` holds: 36 matrices (group of
    inputs, tile, channel of the group).
    """
    for i in range(count):
        y, column = (first + i) // width, (first + i) % width
        for g in range(inputs // WIDTH):
            source = 4 * y * x_row + g * x_group + 4 * column * WIDTH
            target = (g * room + at + i) * WIDTH
            tile_in(x, source, x_row, scales, g * WIDTH, scratch, target, inputs * room + SKEW)


@compiled
@no_type_check
def multiply(
    inputs: int, kernels: Any, outputs: int, begin: int, end: int, room: int, nothing: Any, scratch: Any
) -> None:
    """Matrices begin ... end - 1 of 36: products of the tiles, behind the tiles in `scratch`."""
    v_step, m_step = inputs * room + SKEW, outputs * room + SKEW
    for k in range(begin, end):
        for panel in range(0, outputs, COLUMNS):
            for i in range(0, room, ROWS):
                _product(
                    scratch, k * v_step + i * WIDTH, room * WIDTH, inputs // WIDTH,
                    kernels, (k * outputs + panel) * inputs, nothing, 0, nothing, 0,
                    scratch, 36 * v_step + k * m_step + panel * room + i * WIDTH, WIDTH, room * WIDTH,
                )  # fmt: skip


@compiled
@no_type_check
def leave(
    inputs: int, outputs: int, factor: int, gains: Any, bias: Any, slope: Any, noise: Any, noise_row: int,
    out: Any, out0: int, out_row: int, out_group: int, width: int, first: int, count: int, at: int,
    room: int, scratch: Any,
) -> None:  # fmt: skip
    """Pixels of tiles that `enter` took in: leaky_relu(conv(x * scales) * gains + bias + noise)."""
    m0, m_step = 36 * (inputs * room + SKEW), outputs * room + SKEW
    channels = outputs // factor**2
    for i in range(count):
        y, column = (first + i) // width, (first + i) % width
        for g in range(outputs // WIDTH):
            phase, c = g * WIDTH // channels, g * WIDTH % channels
            row, pixel = 4 * factor * y + phase // 2, 4 * factor * column + phase % 2
            arguments = (
                scratch, m0 + (g * room + at + i) * WIDTH, m_step, gains, c, bias, c, slope, c,
                noise, row * noise_row + pixel, noise_row,
                out, out0 + row * out_row + c // WIDTH * out_group + pixel * WIDTH, out_row,
            )  # fmt: skip
            if factor == 1:
                _near(*arguments)
            else:
                _apart(*arguments)


@compiled
@no_type_check
def convolve(
    x: Any, x_row: int, x_group: int, inputs: int, scales: Any, kernels: Any, outputs: int, factor: int,
    gains: Any, bias: Any, slope: Any, noise: Any, noise_row: int, out: Any, out0: int, out_row: int,
    out_group: int, width: int, first: int, count: int, nothing: Any, scratch: Any,
) -> None:  # fmt: skip
    """All three steps for a few tiles, in the cache.

    `kernels`: (36, outputs / COLUMNS, inputs, COLUMNS). With a `factor` of two the outputs are those of
    `winograd.polyphase` and become the pixels of a doubled picture. `scratch` holds `floats(...)`.
    """
    enter(x, x_row, x_group, inputs, scales, width, first, count, 0, count, scratch)
    multiply(inputs, kernels, outputs, 0, 36, count, nothing, scratch)
    leave(
        inputs, outputs, factor, gains, bias, slope, noise, noise_row, out, out0, out_row, out_group, width,
        first, count, 0, count, scratch,
    )  # fmt: skip


def floats(inputs: int, outputs: int, room: int) -> int:
    """Size of `scratch`."""
    return 36 * (room * (inputs + outputs) + 2 * SKEW)


@compiled
@no_type_check
def draw(
    x: Any, x0: int, x_row: int, x_group: int, channels: int, head: Any, bias: Any, top: int, bottom: int,
    left: int, right: int, picture: Any, side: int, scratch: Any,
) -> None:  # fmt: skip
    """Adds the colours of a rectangle of pixels to a picture (3, side, side)."""
    for y in range(top, bottom):
        for pixel in range(left, right, ROWS):
            _head_product(
                x, x0 + y * x_row + pixel * WIDTH, x_group, channels // WIDTH, head, 0, bias, 0, bias, 0,
                scratch, (pixel - left) * HEAD, HEAD, WIDTH,
            )  # fmt: skip
        for colour in range(3):
            target = (colour * side + y) * side
            for pixel in range(left, right):
                picture[target + pixel] += scratch[(pixel - left) * HEAD + colour]
