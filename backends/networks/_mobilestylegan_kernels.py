"""Compiled kernels of MobileStyleGAN's blocks: one pass over the picture, inside the processor's cache.

Activations are flat and ordered (row, group of WIDTH channels, column, channel of the group), so that every
loop walks through memory. A block is computed a few rows at a time: two rings hold the last rows after the
inverse Haar transform and after the first convolution, and nothing as large as a picture is written but the
result. A kernel works on the rows it is given: threads share a block by taking different rows.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, no_type_check

import numpy as np
from numba import njit

from backends.networks import _simd
from backends.networks._simd import COLUMNS, ROWS, VECTORS, WIDTH, add, fma, load, mul, store, sub, zero

HEAD = max(16, WIDTH)  # outputs of the head, 12 in use
_tile = _simd.make_tile(ROWS, VECTORS, activate=True)
_head_tile = _simd.make_tile(ROWS, HEAD // WIDTH, activate=False)
compiled = njit(nogil=True, cache=True, fastmath=True, error_model="numpy", boundscheck=False)


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
def pointwise_row(
    x: Any, start: int, width: int, inputs: int, weights: Any, panel: int, bias: Any, noise: Any, noise0: int,
    out: Any, out0: int,
) -> None:  # fmt: skip
    """Outputs panel ... panel + COLUMNS - 1 of a row of pixels: product, bias, noise, LeakyReLU."""
    for begin in range(0, width, ROWS):
        pixel = min(begin, width - ROWS)  # the last tile may do some pixels again
        _tile(
            x, start + pixel * WIDTH, width * WIDTH, inputs // WIDTH, weights, panel * inputs, bias, panel,
            noise, noise0 + pixel, out, out0 + panel * width + pixel * WIDTH, WIDTH, width * WIDTH,
        )  # fmt: skip


@compiled
@no_type_check
def convolve_rows(
    x: Any, x0: int, slots: int, first: int, count: int, size: int, inputs: int, outputs: int, depthwise: Any,
    pointwise: Any, bias: Any, noise: Any, scratch: Any, rows0: int, out: Any, out0: int, out_slots: int,
) -> None:  # fmt: skip
    """Rows first ... first + count - 1 (of `size`) of a separable convolution, from ring to ring.

    Row y of the input lies in slot y % slots of `x`, and one more slot holds zeros for what is outside.
    """
    step = size * inputs
    for i in range(count):
        y = first + i
        above = x0 + ((y - 1) % slots if y > 0 else slots) * step
        below = x0 + ((y + 1) % slots if y < size - 1 else slots) * step
        depthwise_row(
            x, above, x0 + y % slots * step, below, depthwise, size, inputs, scratch, rows0 + i * step
        )
    for panel in range(0, outputs, COLUMNS):
        for i in range(count):
            y = first + i
            target = out0 + y % out_slots * size * outputs
            pointwise_row(
                scratch, rows0 + i * step, size, inputs, pointwise, panel, bias, noise, y * size, out, target,
            )  # fmt: skip


@compiled
@no_type_check
def block_rows(
    x: Any, up: Any, depthwise1: Any, pointwise1: Any, bias1: Any, noise1: Any, depthwise2: Any,
    pointwise2: Any, bias2: Any, noise2: Any, size: int, channels: int, outputs: int, begin: int, end: int,
    step: int, scratch: Any, out: Any, head: Any, head_bias: Any, picture: Any,
) -> None:  # fmt: skip
    """Rows begin ... end - 1 of a block, `step` at a time, into `out`; with a `head` into `picture`."""
    haar_slots, slots = step + 4, step + 2
    haar0, ring0 = 0, (haar_slots + 1) * size * channels
    rows0 = ring0 + (slots + 1) * size * outputs
    last0 = rows0 + step * size * outputs  # rows that only the head reads
    head0 = last0 + step * size * outputs
    scratch[haar_slots * size * channels : ring0] = 0
    scratch[ring0 + slots * size * outputs : rows0] = 0
    made = max(begin - 2, 0) // 2 * 2  # next row of the Haar transform
    ready = max(begin - 1, 0)  # next row of the first convolution
    done = begin  # next row of the second
    while done < end:
        count = min(step, min(end + 1, size) - ready)
        while made < min(ready + count + 1, size):
            top = haar0 + made % haar_slots * size * channels
            bottom = haar0 + (made + 1) % haar_slots * size * channels
            haar_rows(x, made // 2, up, size // 2, channels, scratch, top, bottom)
            made += 2
        convolve_rows(
            scratch, haar0, haar_slots, ready, count, size, channels, outputs, depthwise1, pointwise1, bias1,
            noise1, scratch, rows0, scratch, ring0, slots,
        )  # fmt: skip
        ready += count
        count = max(0, min(end, ready if ready == size else ready - 1) - done)
        if len(picture) == 0:
            convolve_rows(
                scratch, ring0, slots, done, count, size, outputs, outputs, depthwise2, pointwise2, bias2,
                noise2, scratch, rows0, out, 0, size,
            )  # fmt: skip
        else:
            for y in range(done, done + count):
                convolve_rows(
                    scratch, ring0, slots, y, 1, size, outputs, outputs, depthwise2, pointwise2, bias2,
                    noise2, scratch, rows0, scratch, last0, 1,
                )  # fmt: skip
                draw_row(scratch, last0, head0, y, size, outputs, head, head_bias, picture)
        done += count


@compiled
@no_type_check
def draw_row(
    x: Any, start: int, head0: int, y: int, size: int, channels: int, head: Any, bias: Any, picture: Any
) -> None:
    """Row y of the head: two rows of the picture (3 colours, planar), or one if it has half the side."""
    for begin in range(0, size, ROWS):
        pixel = min(begin, size - ROWS)
        _head_tile(
            x, start + pixel * WIDTH, size * WIDTH, channels // WIDTH, head, 0, bias, 0, bias, 0, x,
            head0 + pixel * HEAD, HEAD, WIDTH,
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
