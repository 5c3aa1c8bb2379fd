"""Vectors of floats inside numba functions: what LLVM's own vectorizer does not find.

`load`, `store`, `add`, ... work on a vector register; `make_tile` makes the inner kernel of a matrix product.
Arrays are flat float32, addressed by offset; nothing checks bounds. The width follows the processor.
"""

import platform
from collections.abc import Callable, Sequence
from typing import Any, no_type_check

from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic, models, register_model

_FEATURES = binding.get_host_cpu_features()
_ARM = platform.machine().lower() in ("aarch64", "arm64")
SUPPORTED = _ARM or bool(_FEATURES.get("fma"))  # without it LLVM would call a function for every product
WIDTH = 16 if _FEATURES.get("avx512f") else 4 if _ARM else 8  # floats of a vector register
ROWS, VECTORS = (12, 2) if WIDTH == 16 else (6, 2) if WIDTH == 8 else (6, 4)  # of a tile: fills the registers
COLUMNS = VECTORS * WIDTH  # of a tile
SLOPE = 0.2  # of the LeakyReLU that a tile may end with

CONTRACT = ("contract",)  # a product and a sum may become one instruction
FLOAT, INDEX = ir.FloatType(), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, WIDTH)


class _VectorType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"vector{WIDTH}")


_vector = _VectorType()


@register_model(_VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, VECTOR)


def address(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(kind)(context, builder, value=array).data
    return builder.gep(data, [offset], source_etype=FLOAT)


def load_vector(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, VECTOR.as_pointer()), align=4)


def store_vector(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, VECTOR.as_pointer()), align=4)


def _fma(builder: Any, a: Any, b: Any, c: Any) -> Any:
    name = f"llvm.fma.v{WIDTH}f32"
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, [a, b, c])


def splat(builder: Any, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
    return builder.shuffle_vector(one, ir.Constant(VECTOR, ir.Undefined), mask)


@intrinsic
@no_type_check
def load(typingctx, array, offset):
    """The vector at `offset`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return load_vector(builder, address(context, builder, array, args[0], args[1]))

    return _vector(array, types.int64), code


@intrinsic
@no_type_check
def store(typingctx, array, offset, value):
    """Writes a vector at `offset`."""

    def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store_vector(builder, args[2], address(context, builder, array, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(array, types.int64, value), code


@intrinsic
@no_type_check
def zero(typingctx):
    """The vector of zeros."""
    return _vector(), lambda context, builder, signature, args: ir.Constant(VECTOR, [0.0] * WIDTH)


def _arithmetic(instruction: str) -> Any:
    """A numba function of two vectors."""

    @intrinsic
    @no_type_check
    def apply(typingctx, a, b):
        return _vector(a, b), lambda context, builder, signature, args: getattr(builder, instruction)(*args)

    return apply


add, sub, mul = map(_arithmetic, ("fadd", "fsub", "fmul"))


@intrinsic
@no_type_check
def fma(typingctx, a, b, c):
    """a * b + c."""
    return _vector(a, b, c), lambda context, builder, signature, args: _fma(builder, *args)


class Vector:
    """A vector register in LLVM's code, with operators."""

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def __add__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fadd(self.value, other.value, flags=CONTRACT))

    def __sub__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fsub(self.value, other.value, flags=CONTRACT))

    def __mul__(self, other: "Vector") -> "Vector":
        return Vector(self.builder, self.builder.fmul(self.value, other.value, flags=CONTRACT))

    def __rmul__(self, number: int) -> "Vector":
        return self * Vector(self.builder, ir.Constant(VECTOR, [float(number)] * WIDTH))

    def leaky(self) -> "Vector":
        small = self.builder.fmul(self.value, ir.Constant(VECTOR, [SLOPE] * WIDTH))
        large = self.builder.fcmp_ordered(">", self.value, small)  # as 0 < SLOPE < 1
        return Vector(self.builder, self.builder.select(large, self.value, small))


class Memory:
    """Arrays of one call, addressed in floats."""

    def __init__(self, context: Any, builder: Any, kinds: Sequence[Any], args: Sequence[Any]) -> None:
        self.builder, self.args = builder, args
        self.pointers = {
            i: address(context, builder, kind, args[i], args[i + 1])
            for i, kind in enumerate(kinds)
            if isinstance(kind, types.Array)
        }

    def place(self, array: int, offsets: Sequence[tuple[int, int]], floats: int = 0) -> Any:
        """Pointer to argument `array` plus times * argument number, for each of `offsets`, plus `floats`."""
        offset: Any = ir.Constant(INDEX, floats)
        for argument, factor in offsets:
            step = self.builder.mul(self.args[argument], ir.Constant(INDEX, factor))
            offset = self.builder.add(offset, step)
        return self.builder.gep(self.pointers[array], [offset], source_etype=FLOAT)

    def load(self, array: int, offsets: Sequence[tuple[int, int]] = (), floats: int = 0) -> Vector:
        return Vector(self.builder, load_vector(self.builder, self.place(array, offsets, floats)))

    def splat(self, array: int, offsets: Sequence[tuple[int, int]], floats: int) -> Vector:
        number = self.builder.load(self.place(array, offsets, floats), align=4)
        return Vector(self.builder, splat(self.builder, number))

    def store(self, value: Vector, array: int, offsets: Sequence[tuple[int, int]], floats: int = 0) -> None:
        store_vector(self.builder, value.value, self.place(array, offsets, floats))


def procedure(kinds: Sequence[Any]) -> Any:
    """The signature of a function of arrays and integers that returns nothing."""
    return types.void(*(kind if isinstance(kind, types.Array) else types.int64 for kind in kinds))


def make_tile(rows: int, vectors: int, activate: bool, add: bool = False) -> Callable[..., None]:
    """A numba function: rows x (vectors * WIDTH) outputs of a matrix product, all of them kept in registers.

    tile(a, a0, a_group, groups, b, b0, bias, bias0, noise, noise0, c, c0, c_row, c_group):
    c = leaky_relu(a @ b + bias + noise), where `noise` has one number a row and `bias` one a column.
    `a` holds groups of WIDTH columns, `a_group` apart, each with its rows one after the other; `b` is packed
    (columns of a, vectors * WIDTH); vector v of row r goes to c0 + r * c_row + v * c_group of `c`.
    Without `activate` there is neither noise nor LeakyReLU; with `add` c += a @ b is computed instead.
    """

    @intrinsic
    @no_type_check
    def tile(typingctx, a, a0, a_group, groups, b, b0, bias, bias0, noise, noise0, c, c0, c_row, c_group):
        kinds = (a, a0, a_group, groups, b, b0, bias, bias0, noise, noise0, c, c0, c_row, c_group)

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            memory = Memory(context, builder, kinds, args)
            targets = [[(12, row), (13, v)] for row in range(rows) for v in range(vectors)]
            if add:
                first = [memory.load(10, target) for target in targets]
            else:
                first = [memory.load(6, floats=v * WIDTH) for v in range(vectors)] * rows
            if activate:
                noisy = [memory.splat(8, (), row) for row in range(rows) for _ in range(vectors)]
                first = [value + number for value, number in zip(first, noisy, strict=True)]
            sums = _product(memory, [value.value for value in first], vectors)
            for value, target in zip(sums, targets, strict=True):
                vector = Vector(builder, value)
                memory.store(vector.leaky() if activate else vector, 10, target)
            return context.get_dummy_value()

        return procedure(kinds), code

    return tile


def _product(memory: Memory, first: list[Any], vectors: int) -> list[Any]:
    """Adds to `first` (row by row) the product of a tile: a loop over groups, unrolled over their columns."""
    builder, a_group, groups = memory.builder, memory.args[2], memory.args[3]
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    group = builder.phi(INDEX)
    group.add_incoming(ir.Constant(INDEX, 0), before)
    phis = [builder.phi(VECTOR) for _ in first]
    line = builder.gep(memory.pointers[0], [builder.mul(group, a_group)], source_etype=FLOAT)
    size = ir.Constant(INDEX, WIDTH * WIDTH * vectors)
    panel = builder.gep(memory.pointers[4], [builder.mul(group, size)], source_etype=FLOAT)
    sums = list(phis)
    for column in range(WIDTH):
        places = [_step(builder, panel, (column * vectors + v) * WIDTH) for v in range(vectors)]
        weights = [load_vector(builder, place) for place in places]
        for row in range(len(first) // vectors):
            value = splat(builder, builder.load(_step(builder, line, row * WIDTH + column), align=4))
            for i, weight in enumerate(weights, start=row * vectors):
                sums[i] = _fma(builder, value, weight, sums[i])
    for phi, start, end in zip(phis, first, sums, strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(end, loop)
    following = builder.add(group, ir.Constant(INDEX, 1))
    group.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, groups), loop, after)
    builder.position_at_end(after)
    return sums


def _step(builder: Any, pointer: Any, floats: int) -> Any:
    return builder.gep(pointer, [ir.Constant(INDEX, floats)], source_etype=FLOAT)
