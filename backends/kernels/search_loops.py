"""Compiled loops of `backends/transport.py` that look for places by their features, a few rows at a time.

Features lie (row, column, channel). Threads share a call by taking different rows.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, no_type_check

import numpy as np

from backends.kernels.compiler import compiled
from backends.kernels.simd import WIDTH, fma, load, store, zero

ONE, ZERO = np.float32(1), np.float32(0)
LEAST = np.float32(-20)  # of an exponent: e^-20 is nothing beside the one of the best place
C1, C2, C3, C4 = (np.float32(1 / n) for n in (2, 6, 24, 120))


@compiled
@no_type_check
def sample(x: Any, row: Any, column: Any, out: Any) -> None:
    """The features (side, side, channels) at a place between places (bilinear; the edge goes on)."""
    most = x.shape[0] - 1
    row = min(max(row, ZERO), np.float32(most))
    column = min(max(column, ZERO), np.float32(most))
    top, left = min(max(int(row), 0), most), min(max(int(column), 0), most)  # safe for NaN, too
    bottom, right = min(top + 1, most), min(left + 1, most)
    down, across = row - np.float32(top), column - np.float32(left)
    a, b = (ONE - down) * (ONE - across), (ONE - down) * across
    c, d = down * (ONE - across), down * across
    for k in range(x.shape[2]):
        out[k] = a * x[top, left, k] + b * x[top, right, k] + c * x[bottom, left, k] + d * x[bottom, right, k]


@compiled
@no_type_check
def unit_rows(x: Any, shift: Any, begin: int, end: int, out: Any) -> None:
    """x + shift, of unit length at every place."""
    for y in range(begin, end):
        for column in range(x.shape[1]):
            total = np.float32(1e-24)
            for k in range(x.shape[2]):
                value = x[y, column, k] + shift[k]
                total += value * value
            scale = ONE / np.sqrt(total)
            for k in range(x.shape[2]):
                out[y, column, k] = (x[y, column, k] + shift[k]) * scale


@compiled
@no_type_check
def pool_rows(x: Any, factor: int, begin: int, end: int, out: Any) -> None:
    """Sums over factor x factor places, of unit length."""
    channels = x.shape[2]
    for y in range(begin, end):
        for column in range(out.shape[1]):
            target, total = out[y, column], np.float32(1e-24)
            target[:] = ZERO
            for i in range(factor * factor):
                row, across = factor * y + i // factor, factor * column + i % factor
                for k in range(channels):
                    target[k] += x[row, across, k]
            for k in range(channels):
                total += target[k] * target[k]
            scale = ONE / np.sqrt(total)
            for k in range(channels):
                target[k] *= scale


@compiled
@no_type_check
def alike_rows(new: Any, old: Any, offsets: Any, begin: int, end: int, out: Any) -> None:
    """Products of the features of `new` with those of `old` where `offsets` (2, side, side) lead."""
    moved = np.empty(new.shape[2], np.float32)
    for y in range(begin, end):
        for x in range(new.shape[1]):
            sample(old, y + offsets[1, y, x], x + offsets[0, y, x], moved)
            total = ZERO
            for k in range(len(moved)):
                total += new[y, x, k] * moved[k]
            out[y, x] = total


@compiled
@no_type_check
def compare(
    line: Any, wide: int, channels: int, other: Any, start: int, pitch: int, out: Any, at: int
) -> None:
    """Products of a row of features with another from `start` on, both (channel, column), to `out`."""
    for x in range(0, wide, WIDTH):
        total = zero()
        for k in range(channels):
            total = fma(load(line, k * wide + x), load(other, start + k * pitch + x), total)
        store(out, at + x, total)


@compiled
@no_type_check
def compare_four(
    line: Any, wide: int, channels: int, other: Any, start: int, pitch: int, out: Any, at: int, step: int
) -> None:
    """`compare` from `start` and the three columns after it on, to places `step` apart: enough sums at a time
    to fill the processor.
    """
    for x in range(0, wide, WIDTH):
        a, b, c, d = zero(), zero(), zero(), zero()
        for k in range(channels):
            ours, theirs = load(line, k * wide + x), start + k * pitch + x
            a, b = fma(ours, load(other, theirs), a), fma(ours, load(other, theirs + 1), b)
            c, d = fma(ours, load(other, theirs + 2), c), fma(ours, load(other, theirs + 3), d)
        store(out, at + x, a)
        store(out, at + step + x, b)
        store(out, at + 2 * step + x, c)
        store(out, at + 3 * step + x, d)


@compiled
@no_type_check
def compare_rows(new: Any, reached: Any, first: int, top: int, window: int, found: Any) -> None:
    """Products of rows of `new` from `top` on with all places of the window: found (place, row, column).

    `reached` are the features to compare with, (row, channel, column with `window` more at both ends), from
    row `first` on; beyond its rows the last one goes on. Columns of `found` come in whole vectors.
    """
    side, channels = new.shape[1:]
    rows, wide = found.shape[1:]
    pitch, step, across = reached.shape[2], rows * wide, 2 * window + 1
    line = np.zeros(channels * wide, np.float32)
    other, out = reached.ravel(), found.ravel()
    for y in range(top, top + rows):
        for x in range(side):
            for k in range(channels):
                line[k * wide + x] = new[y, x, k]
        for dy in range(across):
            start = (min(max(y + dy - window, 0), side - 1) - first) * channels * pitch
            at = (dy * across * rows + y - top) * wide
            for dx in range(0, across - 3, 4):
                compare_four(
                    line, wide, channels, other, start + dx, pitch, out, at + dx * step, step
                )  # fmt: skip
            for dx in range(across // 4 * 4, across):
                compare(line, wide, channels, other, start + dx, pitch, out, at + dx * step)


@compiled
@no_type_check
def search_rows(
    new: Any, old: Any, start: Any, window: int, sharpness: Any, distance: Any, begin: int, end: int, out: Any
) -> None:
    """Rows begin ... end - 1 of the soft maximum of similarity around where `start` leads, to `out` (both
    (2, side, side)), not yet with what `start` is there.
    """
    side, channels = new.shape[1:]
    top, bottom = max(begin - 1, 0), min(end + 1, side)
    first, last = max(top - window, 0), min(bottom + window, side)
    wide = -(-side // WIDTH) * WIDTH
    reached = np.empty((last - first, channels, wide + 2 * window), np.float32)
    moved = np.empty(channels, np.float32)
    for y in range(first, last):
        for x in range(side):
            sample(old, y + start[1, y, x], x + start[0, y, x], moved)
            for k in range(channels):
                reached[y - first, k, x + window] = moved[k]
        for x in range(window):
            reached[y - first, :, x] = reached[y - first, :, window]
        for x in range(side + window, wide + 2 * window):
            reached[y - first, :, x] = reached[y - first, :, side + window - 1]
    found = np.empty(((2 * window + 1) ** 2, bottom - top, wide), np.float32)
    compare_rows(new, reached, first, top, window, found)
    for y in range(begin, end):
        above, below = max(y - 1, 0) - top, min(y + 1, side - 1) - top
        soft_row(found, above, y - top, below, window, sharpness, distance, y, out)


@compiled
@no_type_check
def soft_row(
    found: Any,
    above: int,
    here: int,
    below: int,
    window: int,
    sharpness: Any,
    distance: Any,
    y: int,
    out: Any,
) -> None:
    """Row y of the expected way, of three rows of similarities (place, row, column)."""
    places, side = len(found), out.shape[2]
    scores = np.empty((places, side), np.float32)
    column = np.empty(side + 2, np.float32)
    best = np.full(side, np.float32(-1e30), np.float32)
    for p in range(places):
        way = np.float32((p // (2 * window + 1) - window) ** 2 + (p % (2 * window + 1) - window) ** 2)
        for x in range(side):
            column[x + 1] = found[p, above, x] + found[p, here, x] + found[p, below, x]
        column[0], column[side + 1] = column[1], column[side]
        for x in range(side):
            score = (column[x] + column[x + 1] + column[x + 2]) / np.float32(9) - distance * way
            scores[p, x] = score
            best[x] = max(best[x], score)
    total = np.zeros(side, np.float32)
    right, down = np.zeros(side, np.float32), np.zeros(side, np.float32)
    for p in range(places):
        dy, dx = np.float32(p // (2 * window + 1) - window), np.float32(p % (2 * window + 1) - window)
        for x in range(side):  # e^s as (e^(s / 64))^64: what processors do on vectors
            u = max((scores[p, x] - best[x]) / sharpness, LEAST) / np.float32(64)
            share = ONE + u * (ONE + u * (C1 + u * (C2 + u * (C3 + u * C4))))
            share = share * share
            share = share * share
            share = share * share
            share = share * share
            share = share * share
            share = share * share
            total[x] += share
            right[x] += share * dx
            down[x] += share * dy
    for x in range(side):
        out[0, y, x], out[1, y, x] = right[x] / total[x], down[x] / total[x]
