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
from backends.networks._winograd_tiles import (
    after,
    after_halving,
    before,
    before_halving,
    make_tile_in,
    make_tile_out,
)

HEAD = max(16, WIDTH)  # outputs of the colours' product, three in use
ROWS = 8 if WIDTH == 16 else 4  # of a tile of a matrix product; divides every number of tiles
DEPTH = 128  # inputs of a product at a time: their kernels stay in the first-level cache for all tiles
SKEW = 3 * WIDTH  # between matrices
_product = _simd.make_tile(ROWS, VECTORS, activate=False)
_product_more = _simd.make_tile(ROWS, VECTORS, activate=False, add=True)
_head_product = _simd.make_tile(ROWS, HEAD // WIDTH, activate=False)
_enter, _enter_halving = make_tile_in(6, before), make_tile_in(5, before_halving)
_near, _apart = make_tile_out(6, after, 1), make_tile_out(6, after, 2)
_halved = make_tile_out(5, after_halving, 1)
HALVING = 0  # in place of a factor
compiled = njit(nogil=True, cache=True, fastmath=True, error_model="numpy", boundscheck=False)


@compiled
@no_type_check
def enter(
    x: Any, x0: int, x_row: int, x_group: int, inputs: int, scales: Any, factor: int, width: int, first: int,
    count: int, at: int, room: int, v: Any,
) -> None:  # fmt: skip
    """Tiles first ... first + count - 1, `width` in a row, of x * scales, transformed.

    They become tiles at ... at + count - 1 of the `room` tiles of `v`: matrices (group of inputs, tile,
    channel of the group), 36 or, for a convolution of stride two, 25. There is space for one tile more, as
    at steps of a power of two all groups would share one set of the cache, and SKEW for the same reason.
    """
    step = inputs * (room + 1) + SKEW
    for i in range(count):
        y, column = (first + i) // width, (first + i) % width
        for g in range(inputs // WIDTH):
            source = x0 + 4 * y * x_row + g * x_group + 4 * column * WIDTH
            target = (g * (room + 1) + at + i) * WIDTH
            if factor == HALVING:
                _enter_halving(x, source, x_row, scales, g * WIDTH, v, target, step)
            else:
                _enter(x, source, x_row, scales, g * WIDTH, v, target, step)


@compiled
@no_type_check
def multiply(
    v: Any, inputs: int, kernels: Any, outputs: int, factor: int, begin: int, end: int, room: int,
    nothing: Any, m: Any,
) -> None:  # fmt: skip
    """Outputs begin ... end - 1 of all matrices' products with the kernels, to `m`.

    `kernels`: (36, outputs / COLUMNS, inputs, COLUMNS); for a stride of two 16, as five of the 25 points of
    a tile have the kernel of their neighbour.
    """
    points = 5 if factor == HALVING else 6
    group = (room + 1) * WIDTH
    v_step, m_step = inputs * (room + 1) + SKEW, (end - begin) * (room + 1) + SKEW
    for k in range(points * points):
        kernel = min(k // 5, 3) * 4 + min(k % 5, 3) if factor == HALVING else k
        for panel in range(begin, end, COLUMNS):
            for depth in range(0, inputs, DEPTH):
                groups = min(DEPTH, inputs - depth) // WIDTH
                for i in range(0, room, ROWS):
                    arguments = (
                        v, k * v_step + depth // WIDTH * group + i * WIDTH, group, groups,
                        kernels, (kernel * outputs + panel) * inputs + depth * COLUMNS,
                        nothing, 0, nothing, 0,
                        m, k * m_step + (panel - begin) * (room + 1) + i * WIDTH, WIDTH, group,
                    )  # fmt: skip
                    if depth:
                        _product_more(*arguments)
                    else:
                        _product(*arguments)


@compiled
@no_type_check
def leave(
    m: Any, outputs: int, factor: int, gains: Any, bias: Any, slope: Any, noise: Any, noise_row: int,
    out: Any, out0: int, out_row: int, out_group: int, begin: int, end: int, width: int, first: int,
    count: int, room: int,
) -> None:  # fmt: skip
    """Outputs begin ... end - 1 of the tiles: leaky_relu(conv(x * scales) * gains + bias + noise).

    With a `factor` of two the outputs are those of `winograd.polyphase` and become the pixels of a doubled
    picture.
    """
    channels = outputs // max(factor, 1) ** 2
    size, m_step = max(4 * factor, 2), (end - begin) * (room + 1) + SKEW
    for i in range(count):
        y, column = (first + i) // width, (first + i) % width
        for g in range(begin // WIDTH, end // WIDTH):
            phase, c = g * WIDTH // channels, g * WIDTH % channels
            row, pixel = size * y + phase // 2, size * column + phase % 2
            arguments = (
                m, (g * WIDTH - begin) * (room + 1) + i * WIDTH, m_step, gains, c, bias, c, slope, c,
                noise, row * noise_row + pixel, noise_row,
                out, out0 + row * out_row + c // WIDTH * out_group + pixel * WIDTH, out_row,
            )  # fmt: skip
            if factor == 1:
                _near(*arguments)
            elif factor == 2:
                _apart(*arguments)
            else:
                _halved(*arguments)


@compiled
@no_type_check
def convolve(
    x: Any, x0: int, x_row: int, x_group: int, inputs: int, scales: Any, kernels: Any, outputs: int,
    factor: int, gains: Any, bias: Any, slope: Any, noise: Any, noise_row: int, out: Any, out0: int,
    out_row: int, out_group: int, width: int, first: int, count: int, nothing: Any, v: Any, m: Any,
) -> None:  # fmt: skip
    """All three steps for a few tiles, in the cache."""
    enter(x, x0, x_row, x_group, inputs, scales, factor, width, first, count, 0, count, v)
    multiply(v, inputs, kernels, outputs, factor, 0, outputs, count, nothing, m)
    leave(
        m, outputs, factor, gains, bias, slope, noise, noise_row, out, out0, out_row, out_group, 0, outputs,
        width, first, count, count,
    )  # fmt: skip


def floats(channels: int, room: int) -> int:
    """Size of `v` or `m`."""
    return 36 * ((room + 1) * channels + SKEW)


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
