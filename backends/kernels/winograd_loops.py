"""Compiled loops for 3x3 convolutions by Winograd's F(4x4, 3x3) (`winograd_reference.py`), inside the cache.

Maps are arrays (row, group of WIDTH channels, column, channel of the group), flat in memory. An input has one
more pixel on every side, zeros as a rule, so that no tile is special. A call computes some of the 4x4 tiles,
which are counted along the rows: threads share a picture by taking different ones.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np

from backends.kernels import simd
from backends.kernels.compiler import compiled
from backends.kernels.simd import COLUMNS, VECTORS, WIDTH
from backends.kernels.winograd_tiles import make_tile_in, make_tile_out

HEAD = max(16, WIDTH)  # outputs of the colours' product, three in use
ROWS = 8 if WIDTH == 16 else 4  # of a tile of a matrix product; divides every number of tiles
DEPTH = 128  # inputs of a product at a time: their kernels stay in the first-level cache for all tiles
SKEW = 3 * WIDTH  # between matrices
POINTS = 36  # of a transformed tile
_product = simd.make_tile(ROWS, VECTORS, activate=False)
_product_more = simd.make_tile(ROWS, VECTORS, activate=False, add=True)
_head_product = simd.make_tile(ROWS, HEAD // WIDTH, activate=False)
_enter, _near, _apart = make_tile_in(), make_tile_out(1), make_tile_out(2)


class Place(NamedTuple):
    """Maps in memory: offset of pixel (0, 0), steps from row to row and from group to group."""

    data: np.ndarray
    start: int
    row: int
    group: int


class Kernels(NamedTuple):
    """A convolution: the transformed kernels (36, outputs / COLUMNS, inputs, COLUMNS).

    With a `factor` of two the outputs are those of `winograd_reference.polyphase` and become the pixels of a
    doubled picture.
    """

    data: np.ndarray
    zeros: np.ndarray  # that sums of COLUMNS outputs start from
    inputs: int
    outputs: int
    factor: int


class Activation(NamedTuple):
    """leaky_relu(x * gains + bias + noise): a number for each channel, of the noise one for each pixel."""

    gains: np.ndarray
    bias: np.ndarray
    noise: np.ndarray
    side: int  # of the noise


class Tiles(NamedTuple):
    """Tiles first ... first + count - 1, `width` in a row."""

    width: int
    first: int
    count: int


class Colours(NamedTuple):
    """What adds the colours of finished pixels, weight x channels + bias, to a picture."""

    weight: np.ndarray  # (channels, HEAD)
    bias: np.ndarray  # (HEAD,)
    picture: np.ndarray  # (3, side, side)
    side: int


@compiled
@no_type_check
def enter(x: Any, scales: Any, inputs: int, tiles: Any, at: int, room: int, v: Any) -> None:
    """Tiles of x * scales, transformed, to tiles at, at + 1, ... of the `room` tiles of `v`.

    `v` holds 36 matrices (group of inputs, tile, channel of the group). There is space for one tile more, as
    at steps of a power of two all groups would share one set of the cache, and SKEW for the same reason.
    """
    data, start, x_row, x_group = x  # taken apart once: each use of an array in a tuple counts references
    step = inputs * (room + 1) + SKEW
    for i in range(tiles.count):
        y, column = (tiles.first + i) // tiles.width, (tiles.first + i) % tiles.width
        for g in range(inputs // WIDTH):
            source = start + 4 * y * x_row + g * x_group + 4 * column * WIDTH
            target = (g * (room + 1) + at + i) * WIDTH
            _enter(data, source, x_row, scales, g * WIDTH, v, target, step)


@compiled
@no_type_check
def multiply(v: Any, kernels: Any, begin: int, end: int, room: int, m: Any) -> None:
    """Outputs begin ... end - 1 of all matrices' products with the kernels, to `m`."""
    data, zeros, inputs, outputs, _ = kernels
    group = (room + 1) * WIDTH
    v_step, m_step = inputs * (room + 1) + SKEW, (end - begin) * (room + 1) + SKEW
    for k in range(POINTS):
        for panel in range(begin, end, COLUMNS):
            for depth in range(0, inputs, DEPTH):
                groups = min(DEPTH, inputs - depth) // WIDTH
                for i in range(0, room, ROWS):
                    arguments = (
                        v, k * v_step + depth // WIDTH * group + i * WIDTH, group, groups,
                        data, (k * outputs + panel) * inputs + depth * COLUMNS, zeros, 0, zeros, 0,
                        m, k * m_step + (panel - begin) * (room + 1) + i * WIDTH, WIDTH, group,
                    )  # fmt: skip
                    if depth:
                        _product_more(*arguments)
                    else:
                        _product(*arguments)


@compiled
@no_type_check
def leave(m: Any, kernels: Any, after: Any, begin: int, end: int, tiles: Any, room: int, out: Any) -> None:
    """Outputs begin ... end - 1 of the tiles, transformed back and activated, to their pixels."""
    factor = kernels.factor
    gains, bias, noise, side = after
    data, start, out_row, out_group = out
    channels = kernels.outputs // factor**2
    size, m_step = 4 * factor, (end - begin) * (room + 1) + SKEW
    for i in range(tiles.count):
        y, column = (tiles.first + i) // tiles.width, (tiles.first + i) % tiles.width
        for g in range(begin // WIDTH, end // WIDTH):
            phase, c = g * WIDTH // channels, g * WIDTH % channels
            row, pixel = size * y + phase // 2, size * column + phase % 2
            arguments = (
                m, (g * WIDTH - begin) * (room + 1) + i * WIDTH, m_step, gains, c, bias, c,
                noise, row * side + pixel, side,
                data, start + row * out_row + c // WIDTH * out_group + pixel * WIDTH, out_row,
            )  # fmt: skip
            if factor == 1:
                _near(*arguments)
            else:
                _apart(*arguments)


@compiled
@no_type_check
def convolve(x: Any, scales: Any, kernels: Any, after: Any, tiles: Any, v: Any, m: Any, out: Any) -> None:
    """All three steps for a few tiles, in the cache."""
    enter(x, scales, kernels.inputs, tiles, 0, tiles.count, v)
    multiply(v, kernels, 0, kernels.outputs, tiles.count, m)
    leave(m, kernels, after, 0, kernels.outputs, tiles, tiles.count, out)


def floats(channels: int, room: int) -> int:
    """Size of `v` or `m`."""
    return POINTS * ((room + 1) * channels + SKEW)


@compiled
@no_type_check
def draw(
    x: Any, channels: int, colours: Any, top: int, bottom: int, left: int, right: int, scratch: Any
) -> None:
    """Adds the colours of a rectangle of pixels to the picture."""
    data, start, x_row, x_group = x
    weight, bias, picture, side = colours
    for y in range(top, bottom):
        for pixel in range(left, right, ROWS):
            _head_product(
                data, start + y * x_row + pixel * WIDTH, x_group, channels // WIDTH, weight, 0, bias, 0,
                bias, 0, scratch, (pixel - left) * HEAD, HEAD, WIDTH,
            )  # fmt: skip
        for colour in range(3):
            target = (colour * side + y) * side
            for pixel in range(left, right):
                picture[target + pixel] += scratch[(pixel - left) * HEAD + colour]
