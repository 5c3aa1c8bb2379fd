"""Winograd's transforms of a tile as vector code: `winograd_reference.py` does the same in torch.

A function works on WIDTH channels at a time. All values of a tile are in registers, or nearly (36 numbers per
channel, 32 registers with AVX-512).
"""

from collections.abc import Sequence
from typing import Any, no_type_check

from numba.extending import intrinsic

from backends.kernels.simd import WIDTH, Memory, Vector, procedure


def before(d: Sequence[Vector]) -> list[Vector]:
    """B'd of six numbers."""
    a, b, c, e = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    first, last = 4 * d[0] + (d[4] - 5 * d[2]), 4 * d[1] + (d[5] - 5 * d[3])
    return [first, a + b, a - b, c + e, c - e, last]


def after(m: Sequence[Vector]) -> list[Vector]:
    """A'm of six numbers: four."""
    a, b, c, d = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + a + c, b + 2 * d, a + 4 * c, b + 8 * d + m[5]]


def make_tile_in() -> Any:
    """A numba function: `before` in both directions of 6 x 6 pixels, times `scales`.

    tile(x, x0, x_row, scales, scales0, v, v0, v_step): from `x0` on, rows `x_row` apart, to vectors `v_step`
    apart.
    """

    @intrinsic
    @no_type_check
    def tile(typingctx, x, x0, x_row, scales, scales0, v, v0, v_step):
        kinds = (x, x0, x_row, scales, scales0, v, v0, v_step)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            memory = Memory(context, builder, kinds, args)
            scale = memory.load(3)
            columns = []
            for column in range(6):
                pixels = [memory.load(0, [(2, row)], column * WIDTH) * scale for row in range(6)]
                columns.append(before(pixels))
            for row in range(6):
                for column, value in enumerate(before([each[row] for each in columns])):
                    memory.store(value, 5, [(7, 6 * row + column)])
            return context.get_dummy_value()

        return procedure(kinds), code

    return tile


def make_tile_out(apart: int) -> Any:
    """A numba function: `after` in both directions, then activation, to 4 x 4 pixels that lie `apart`.

    tile(m, m0, m_step, gains, gains0, bias, bias0, noise, noise0, noise_row, out, out0, out_row):
    out = leaky_relu(transformed * gains + bias + noise); `noise` has one number a pixel.
    """

    @intrinsic
    @no_type_check
    def tile(typingctx, m, m0, m_step, gains, gains0, bias, bias0, noise, noise0, noise_row,
             out, out0, out_row):  # fmt: skip
        kinds = (m, m0, m_step, gains, gains0, bias, bias0, noise, noise0, noise_row, out, out0, out_row)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            memory = Memory(context, builder, kinds, args)
            gain, constant = memory.load(3), memory.load(5)
            columns = [
                after([memory.load(0, [(2, 6 * row + column)]) for row in range(6)]) for column in range(6)
            ]
            for row in range(4):
                for column, value in enumerate(after([each[row] for each in columns])):
                    noisy = memory.splat(7, [(9, apart * row)], apart * column) + constant
                    y = (value * gain + noisy).leaky()
                    memory.store(y, 10, [(12, apart * row)], apart * column * WIDTH)
            return context.get_dummy_value()

        return procedure(kinds), code

    return tile
