"""Winograd's transforms of a tile as vector code: `winograd_reference.py` does the same in torch.

A function works on WIDTH channels at a time. All values of a tile are in registers, or nearly (36 numbers per
channel, 32 registers with AVX-512).
"""

from collections.abc import Sequence
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from backends.kernels import simd
from backends.kernels.simd import WIDTH

_CONTRACT = ("contract",)  # a product and a sum may become one instruction


class Vector:
    """A vector register in LLVM's code, with operators."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=_CONTRACT))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=_CONTRACT))

    def __mul__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fmul(self.value, other.value, flags=_CONTRACT))

    def __rmul__(self, number: int) -> "Vector":
        return self * Vector(self.builder, ir.Constant(simd.VECTOR, [float(number)] * WIDTH))

    def leaky(self) -> "Vector":
        return Vector(self.builder, simd.leaky(self.builder, self.value))


def before(d: Sequence[Vector]) -> list[Vector]:
    """B'd of six numbers."""
    a, b, c, e = d[4] - 4 * d[2], d[3] - 4 * d[1], d[4] - d[2], 2 * (d[3] - d[1])
    first, last = 4 * d[0] + (d[4] - 5 * d[2]), 4 * d[1] + (d[5] - 5 * d[3])
    return [first, a + b, a - b, c + e, c - e, last]


def after(m: Sequence[Vector]) -> list[Vector]:
    """A'm of six numbers: four."""
    a, b, c, d = m[1] + m[2], m[1] - m[2], m[3] + m[4], m[3] - m[4]
    return [m[0] + a + c, b + 2 * d, a + 4 * c, b + 8 * d + m[5]]


class _Memory:
    """Arrays of one call, addressed in floats."""

    def __init__(self, context: Any, builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> None:
        self.builder, self.args = builder, args
        self.pointers = {
            i: simd.address(context, builder, kind, args[i], args[i + 1])
            for i, kind in enumerate(kinds)
            if isinstance(kind, types.Array)
        }

    def place(self, array: int, offsets: Sequence[tuple[int, int]], floats: int = 0) -> Any:
        """Pointer to argument `array` plus times * argument number, for each of `offsets`, plus `floats`."""
        offset: Any = ir.Constant(simd.INDEX, floats)
        for argument, factor in offsets:
            step = self.builder.mul(self.args[argument], ir.Constant(simd.INDEX, factor))
            offset = self.builder.add(offset, step)
        return self.builder.gep(self.pointers[array], [offset], source_etype=simd.FLOAT)

    def load(self, array: int, offsets: Sequence[tuple[int, int]] = (), floats: int = 0) -> Vector:
        return Vector(self.builder, simd.load_vector(self.builder, self.place(array, offsets, floats)))

    def splat(self, array: int, offsets: Sequence[tuple[int, int]], floats: int) -> Vector:
        number = self.builder.load(self.place(array, offsets, floats), align=4)
        return Vector(self.builder, simd.splat(self.builder, number))

    def store(self, value: Vector, array: int, offsets: Sequence[tuple[int, int]], floats: int = 0) -> None:
        simd.store_vector(self.builder, value.value, self.place(array, offsets, floats))


def _signature(kinds: Sequence[Any]) -> Any:
    return types.void(*(kind if isinstance(kind, types.Array) else types.int64 for kind in kinds))


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
            memory = _Memory(context, builder, kinds, args)
            scale = memory.load(3)
            columns = []
            for column in range(6):
                pixels = [memory.load(0, [(2, row)], column * WIDTH) * scale for row in range(6)]
                columns.append(before(pixels))
            for row in range(6):
                for column, value in enumerate(before([each[row] for each in columns])):
                    memory.store(value, 5, [(7, 6 * row + column)])
            return context.get_dummy_value()

        return _signature(kinds), code

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
            memory = _Memory(context, builder, kinds, args)
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

        return _signature(kinds), code

    return tile
