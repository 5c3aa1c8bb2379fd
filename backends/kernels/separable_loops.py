"""Compiled loops of MobileStyleGAN's blocks: one pass over the picture, inside the processor's cache.

Maps are flat and ordered (row, group of WIDTH channels, column, channel of the group), so that every loop
walks through memory. A block is computed a few rows at a time: two rings hold the last rows after the inverse
Haar transform and after the first convolution, and nothing as large as a picture is written but the result. A
call works on the rows it is given: threads share a block by taking different rows.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, NamedTuple, no_type_check

import numpy as np

from backends.kernels import simd
from backends.kernels.compiler import compiled
from backends.kernels.simd import COLUMNS, ROWS, VECTORS, WIDTH, add, fma, load, mul, store, sub, zero

HEAD = max(16, WIDTH)  # outputs of the head, 12 in use
_tile = simd.make_tile(ROWS, VECTORS, activate=True)
_head_tile = simd.make_tile(ROWS, HEAD // WIDTH, activate=False)


class Convolution(NamedTuple):
    """Weights of a separable convolution."""

    inputs: int
    outputs: int
    depthwise: np.ndarray  # (9, inputs), scaled by the style
    pointwise: np.ndarray  # (panels, inputs, COLUMNS)
    bias: np.ndarray  # (outputs,)
    noise: np.ndarray  # (size, size)


class Head(NamedTuple):
    """What makes the picture of the last block's rows; all empty for other blocks."""

    weight: np.ndarray  # (channels, HEAD)
    bias: np.ndarray  # (HEAD,)
    picture: np.ndarray  # (3, side, side), where side is that of the rows, or twice that


class Ring(NamedTuple):
    """Row y lies in slot y % slots from `start` on; one more slot holds zeros for what is outside."""

    data: np.ndarray
    start: int
    slots: int


@compiled
@no_type_check
def haar_rows(x: Any, row: int, up: Any, half: int, channels: int, out: Any, top: int, bottom: int) -> None:
    """Rows 2 row and 2 row + 1 of the inverse Haar transform, at offsets `top` and `bottom` of `out`.

    The channels of `x` are the bands low, vertical, horizontal, diagonal, in this order; `up` scales them.
    The transform's factor 1/2 is in the weights that follow.
    """
    band = half * channels
    for c in range(0, channels, WIDTH):
        low, vertical = load(up, c), load(up, channels + c)
        horizontal, diagonal = load(up, 2 * channels + c), load(up, 3 * channels + c)
        for pixel in range(half):
            source = row * 4 * band + c * half + pixel * WIDTH
            a, v = mul(load(x, source), low), mul(load(x, source + band), vertical)
            h, d = mul(load(x, source + 2 * band), horizontal), mul(load(x, source + 3 * band), diagonal)
            target = (c * half + pixel * WIDTH) * 2
            upper, lower, rise, fall = add(a, v), sub(a, v), add(h, d), sub(h, d)
            store(out, top + target, add(upper, rise))
            store(out, top + target + WIDTH, sub(upper, rise))
            store(out, bottom + target, add(lower, fall))
            store(out, bottom + target + WIDTH, sub(lower, fall))


@compiled
@no_type_check
def depthwise_row(
    x: Any, above: int, here: int, below: int, weights: Any, width: int, channels: int, out: Any, start: int
) -> None:
    """One row of a depthwise 3x3 convolution of three rows of `x` (offsets), zero beyond both ends."""
    for c in range(0, channels, WIDTH):
        w00, w01, w02 = load(weights, c), load(weights, channels + c), load(weights, 2 * channels + c)
        w10, w11 = load(weights, 3 * channels + c), load(weights, 4 * channels + c)
        w12, w20 = load(weights, 5 * channels + c), load(weights, 6 * channels + c)
        w21, w22 = load(weights, 7 * channels + c), load(weights, 8 * channels + c)
        left, middle = zero(), zero()  # what the pixels so far add to the last output and to the next one
        for source in range(c * width, (c + WIDTH) * width, WIDTH):
            t0, t1, t2 = load(x, above + source), load(x, here + source), load(x, below + source)
            done = fma(t2, w22, fma(t1, w12, fma(t0, w02, left)))
            left = fma(t2, w21, fma(t1, w11, fma(t0, w01, middle)))
            middle = fma(t2, w20, fma(t1, w10, mul(t0, w00)))
            if source != c * width:
                store(out, start + source - WIDTH, done)
        store(out, start + (c + WIDTH) * width - WIDTH, left)


@compiled
@no_type_check
def convolve_rows(
    source: Any, conv: Any, first: int, count: int, size: int, scratch: Any, rows0: int, target: Any
) -> None:
    """Rows first ... first + count - 1 (of `size`) of a separable convolution, from ring to ring."""
    x, x0, slots = source
    inputs, outputs, depthwise, pointwise, bias, noise = conv  # taken apart once: each use counts references
    out, out0, out_slots = target
    step = size * inputs
    for i in range(count):
        y = first + i
        above = x0 + ((y - 1) % slots if y > 0 else slots) * step
        here = x0 + y % slots * step
        below = x0 + ((y + 1) % slots if y < size - 1 else slots) * step
        depthwise_row(x, above, here, below, depthwise, size, inputs, scratch, rows0 + i * step)
    for panel in range(0, outputs, COLUMNS):
        for i in range(count):
            y = first + i
            row0 = out0 + (y % out_slots * outputs + panel) * size
            for begin in range(0, size, ROWS):
                pixel = min(begin, size - ROWS)  # the last tile may do some pixels again
                _tile(
                    scratch, rows0 + i * step + pixel * WIDTH, size * WIDTH, inputs // WIDTH,
                    pointwise, panel * inputs, bias, panel, noise, y * size + pixel,
                    out, row0 + pixel * WIDTH, WIDTH, size * WIDTH,
                )  # fmt: skip


@compiled
@no_type_check
def block_rows(
    x: Any, up: Any, conv1: Any, conv2: Any, head: Any, size: int, begin: int, end: int, step: int,
    scratch: Any, out: Any,
) -> None:  # fmt: skip
    """Rows begin ... end - 1 of a block, `step` at a time, into `out`, or into the picture of a head."""
    channels, outputs = conv1.inputs, conv1.outputs
    haar = Ring(scratch, 0, step + 4)
    middle = Ring(scratch, (haar.slots + 1) * size * channels, step + 2)
    rows0 = middle.start + (middle.slots + 1) * size * outputs
    last = Ring(scratch, rows0 + step * size * outputs, 1)  # rows that only the head reads
    scratch[haar.slots * size * channels : middle.start] = 0
    scratch[middle.start + middle.slots * size * outputs : rows0] = 0
    made = max(begin - 2, 0) // 2 * 2  # next row of the Haar transform
    ready = max(begin - 1, 0)  # next row of the first convolution
    done = begin  # next row of the second
    while done < end:
        count = min(step, min(end + 1, size) - ready)
        while made < min(ready + count + 1, size):
            top = made % haar.slots * size * channels
            bottom = (made + 1) % haar.slots * size * channels
            haar_rows(x, made // 2, up, size // 2, channels, scratch, top, bottom)
            made += 2
        convolve_rows(haar, conv1, ready, count, size, scratch, rows0, middle)
        ready += count
        count = max(0, min(end, ready if ready == size else ready - 1) - done)
        if len(head.picture) == 0:
            convolve_rows(middle, conv2, done, count, size, scratch, rows0, Ring(out, 0, size))
        else:
            for y in range(done, done + count):
                convolve_rows(middle, conv2, y, 1, size, scratch, rows0, last)
                draw_row(last, size, outputs, y, head)
        done += count


@compiled
@no_type_check
def draw_row(row: Any, size: int, channels: int, y: int, head: Any) -> None:
    """Row y of the head: two rows of the picture (3 colours, planar), or one if it has half the side."""
    x, head0, picture = row.data, row.start + size * channels, head.picture
    for begin in range(0, size, ROWS):
        pixel = min(begin, size - ROWS)
        _head_tile(
            x, row.start + pixel * WIDTH, size * WIDTH, channels // WIDTH, head.weight, 0, head.bias, 0,
            head.bias, 0, x, head0 + pixel * HEAD, HEAD, WIDTH,
        )  # fmt: skip
    if len(picture) == 3 * size * size:
        for colour in range(3):
            target = (colour * size + y) * size
            for pixel in range(size):
                picture[target + pixel] = x[head0 + pixel * HEAD + colour]
        return
    pairs, source = picture.view(np.float64), x.view(np.float64)  # neighbours in a row move as one
    for line in range(6):  # colour and row of the 2x2 square
        target = ((line // 2 * size + y) * 2 + line % 2) * size
        for pixel in range(size):
            pairs[target + pixel] = source[(head0 + pixel * HEAD) // 2 + line]
