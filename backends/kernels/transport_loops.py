"""Compiled loops of `backends/transport.py` on pictures (channel, row, column), a few rows at a time.

Threads share a call by taking different rows.
(no_type_check: what checks annotations in tests must not wrap what numba compiles.)
"""

from typing import Any, no_type_check

import numpy as np

from backends.kernels.compiler import compiled

ONE, ZERO = np.float32(1), np.float32(0)


@compiled
@no_type_check
def mean(x: Any, width: int, out: Any) -> None:
    """Of (planes, side, side) over width x width places; the edge goes on."""
    side, reach, part = x.shape[1], width // 2, np.float32(1 / width**2)
    sums = np.empty(side + 2 * reach, np.float32)
    for plane in range(len(x)):
        for y in range(side):
            sums[:] = ZERO
            for dy in range(-reach, reach + 1):
                row = x[plane, min(max(y + dy, 0), side - 1)]
                for i in range(side):
                    sums[reach + i] += row[i]
            sums[:reach], sums[side + reach :] = sums[reach], sums[side + reach - 1]
            target = out[plane, y]
            target[:] = ZERO
            for dx in range(width):
                for i in range(side):
                    target[i] += sums[i + dx]
            for i in range(side):
                target[i] *= part


@compiled
@no_type_check
def stretch(size: int, side: int, left: Any, across: Any) -> None:
    """For each of `side` pixels, which of `size` ones it lies behind, and how far (pixels as areas)."""
    step, half = np.float32(size / side), np.float32(0.5)
    for i in range(side):
        place = max((np.float32(i) + half) * step - half, ZERO)
        left[i] = min(np.int32(place), np.int32(size - 1))
        across[i] = place - np.float32(left[i])


@compiled
@no_type_check
def stretch_row(x: Any, row: int, left: Any, across: Any, line: Any, out: Any) -> None:
    """Row `row` of `x` (size, size), enlarged (bilinear; the edge goes on)."""
    size, down = x.shape[0], across[row]
    top, bottom = x[left[row]], x[min(left[row] + 1, size - 1)]
    for i in range(size):
        line[i] = top[i] + (bottom[i] - top[i]) * down
    line[size] = line[size - 1]
    for i in range(len(out)):
        out[i] = line[left[i]] + (line[left[i] + np.int32(1)] - line[left[i]]) * across[i]


@compiled
@no_type_check
def resize(x: Any, out: Any) -> None:
    """(planes, size, size) to (planes, side, side)."""
    size, side = x.shape[1], out.shape[1]
    left, across = np.empty(side, np.int32), np.empty(side, np.float32)
    line = np.empty(size + 1, np.float32)
    stretch(size, side, left, across)
    for plane in range(len(x)):
        for y in range(side):
            stretch_row(x[plane], y, left, across, line, out[plane, y])


@compiled
@no_type_check
def corner_row(ways: Any, y: int, factor: Any, corners: Any, parts: Any) -> None:
    """The four pixels around each place of row y plus its ways (x, y, times factor), and their weights."""
    side, one, last = len(ways[0]), np.int32(1), np.int32(len(ways[0]) - 1)
    for i in range(side):
        row = min(max(np.float32(y) + ways[1, i] * factor, ZERO), np.float32(last))
        column = min(max(np.float32(i) + ways[0, i] * factor, ZERO), np.float32(last))
        top = min(max(np.int32(row), np.int32(0)), last)  # safe for NaN, too
        left = min(max(np.int32(column), np.int32(0)), last)
        down, across = row - np.float32(top), column - np.float32(left)
        bottom, right = min(top + one, last), min(left + one, last)
        corners[0, i], corners[1, i] = top * np.int32(side) + left, top * np.int32(side) + right
        corners[2, i], corners[3, i] = bottom * np.int32(side) + left, bottom * np.int32(side) + right
        parts[0, i] = (ONE - down) * (ONE - across)
        parts[1, i] = (ONE - down) * across
        parts[2, i] = down * (ONE - across)
        parts[3, i] = down * across


@compiled
@no_type_check
def sample_row(plane: Any, corners: Any, parts: Any, out: Any) -> None:
    for i in range(len(out)):
        value = parts[0, i] * plane[corners[0, i]] + parts[1, i] * plane[corners[1, i]]
        out[i] = value + parts[2, i] * plane[corners[2, i]] + parts[3, i] * plane[corners[3, i]]


@compiled
@no_type_check
def warp_rows(x: Any, offsets: Any, begin: int, end: int, out: Any) -> None:
    """Rows of `x` (channels, side, side) where `offsets` (stretched) lead."""
    side, small = x.shape[1], offsets.shape[1]
    line, ways = np.empty(small + 1, np.float32), np.empty((2, side), np.float32)
    left, across = np.empty(side, np.int32), np.empty(side, np.float32)
    corners, parts = np.empty((4, side), np.int32), np.empty((4, side), np.float32)
    stretch(small, side, left, across)
    for y in range(begin, end):
        for k in range(2):
            stretch_row(offsets[k], y, left, across, line, ways[k])
        corner_row(ways, y, np.float32(side / small), corners, parts)
        for c in range(x.shape[0]):
            sample_row(x[c].ravel(), corners, parts, out[c, y])


@compiled
@no_type_check
def compose_rows(
    drawn: Any, still: Any, offsets: Any, seen: Any, moving: Any, doubt: Any, coarse: Any, around: Any,
    begin: int, end: int, out: Any,
) -> None:  # fmt: skip
    """Rows of `transport.carried`; `still` are the photograph and what is missing, (2, channels, side, side).

    What is small is stretched line by line: nothing as large as a picture is written but the result.
    """
    side, small, visible = drawn.shape[1], offsets.shape[1], seen.shape[0]
    sizes = (small, visible, coarse.shape[1], around.shape[1])
    line, ways = np.empty(max(sizes) + 1, np.float32), np.empty((6, side), np.float32)
    left, across = np.empty((4, side), np.int32), np.empty((4, side), np.float32)
    corners, parts = np.empty((4, side), np.int32), np.empty((4, side), np.float32)
    lost, gone = np.empty(side, np.float32), np.empty(side, np.float32)
    for k in range(4):
        stretch(sizes[k], side, left[k], across[k])
    for y in range(begin, end):
        for k in range(2):
            stretch_row(offsets[k], y, left[0], across[0], line, ways[k])
        stretch_row(seen, y, left[1], across[1], line, ways[2])
        stretch_row(moving, y, left[0], across[0], line, ways[3])
        stretch_row(doubt, y, left[2], across[2], line, ways[4])
        ways[3] = np.maximum(ways[3], ways[4])
        corner_row(ways, y, np.float32(side / small), corners, parts)
        moves = ways[3].max() > ZERO
        for c in range(drawn.shape[0]):
            stretch_row(around[c], y, left[3], across[3], line, ways[5])
            sample_row(still[1][c].ravel(), corners, parts, lost)
            own, target = drawn[c, y], out[c, y]
            if moves:
                stretch_row(coarse[c], y, left[2], across[2], line, ways[4])
                sample_row(still[0][c].ravel(), corners, parts, gone)
                for i in range(side):
                    lost[i] += ways[3, i] * (gone[i] + ways[4, i] - own[i] - lost[i])
            for i in range(side):
                target[i] = own[i] + ways[5, i] + ways[2, i] * (lost[i] - ways[5, i])


@compiled
@no_type_check
def structure_rows(a: Any, b: Any, floor: Any, begin: int, end: int, out: Any) -> None:
    """Rows of `transport.structure` of two pictures (channels, side, side)."""
    channels, side, _ = a.shape
    sums, totals = np.empty((5, side + 6), np.float32), np.empty((5, side), np.float32)
    product, both = np.empty(side, np.float32), np.empty(side, np.float32)
    size = np.float32(1 / 49)
    for y in range(begin, end):
        product[:] = ZERO
        both[:] = ZERO
        for c in range(channels):
            sums[:] = ZERO
            for dy in range(-3, 4):
                ours, theirs = a[c, min(max(y + dy, 0), side - 1)], b[c, min(max(y + dy, 0), side - 1)]
                for x in range(side):
                    sums[0, x + 3] += ours[x]
                    sums[1, x + 3] += theirs[x]
                    sums[2, x + 3] += ours[x] * ours[x]
                    sums[3, x + 3] += theirs[x] * theirs[x]
                    sums[4, x + 3] += ours[x] * theirs[x]
            for i in range(5):
                sums[i, :3], sums[i, side + 3 :] = sums[i, 3], sums[i, side + 2]
                for x in range(side):
                    total = sums[i, x] + sums[i, x + 1] + sums[i, x + 2] + sums[i, x + 3]
                    totals[i, x] = (total + sums[i, x + 4] + sums[i, x + 5] + sums[i, x + 6]) * size
            for x in range(side):
                p, q = totals[0, x], totals[1, x]
                both[x] += totals[2, x] - p * p + (totals[3, x] - q * q)
                product[x] += totals[4, x] - p * q
        for x in range(side):
            out[y, x] = (product[x] + product[x] + floor) / (max(both[x], ZERO) + floor)
