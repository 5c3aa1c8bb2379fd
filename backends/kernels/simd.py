"""Vectors of floats inside numba functions: what LLVM's own vectorizer does not find.

`load`, `store`, `add`, ... work on a vector register; `make_tile` makes the inner kernel of a matrix product.
Arrays are flat float32, addressed by offset; nothing checks bounds. The width follows the processor.
"""

import platform
from collections.abc import Callable
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


def leaky(builder: Any, value: Any) -> Any:
    small = builder.fmul(value, ir.Constant(VECTOR, [SLOPE] * WIDTH))
    return builder.select(builder.fcmp_ordered(">", value, small), value, small)  # as 0 < SLOPE < 1


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
        integers = [kind if isinstance(kind, types.Array) else types.int64 for kind in kinds]

        def code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            pointers = {i: address(context, builder, kinds[i], args[i], args[i + 1]) for i in (0, 6, 8, 10)}
            pointers[4] = address(context, builder, b, args[4], args[5])
            steps = [
                [
                    builder.add(_times(builder, args[12], row), _times(builder, args[13], v))
                    for v in range(vectors)
                ]
                for row in range(rows)
            ]
            targets = [
                [builder.gep(pointers[10], [step], source_etype=FLOAT) for step in row] for row in steps
            ]
            if add:
                first = [[load_vector(builder, target) for target in row] for row in targets]
            else:
                first = _first(builder, pointers[6], pointers[8], rows, vectors, activate)
            sums = _product(builder, pointers[0], args[2], args[3], pointers[4], first)
            for value, target in zip(_chained(sums), _chained(targets), strict=True):
                store_vector(builder, leaky(builder, value) if activate else value, target)
            return context.get_dummy_value()

        return types.void(*integers), code

    return tile


def _first(builder: Any, bias: Any, noise: Any, rows: int, vectors: int, activate: bool) -> list[list[Any]]:
    """What the sums of a tile start from: bias, plus noise if there is any."""
    start = [load_vector(builder, _step(builder, bias, v * WIDTH)) for v in range(vectors)]
    if not activate:
        return [start] * rows
    splats = [splat(builder, builder.load(_step(builder, noise, row), align=4)) for row in range(rows)]
    return [[builder.fadd(value, splat) for value in start] for splat in splats]


def _product(
    builder: Any, a: Any, a_group: Any, groups: Any, b: Any, first: list[list[Any]]
) -> list[list[Any]]:
    """Adds to `first` the product of all groups: a loop over groups, unrolled over the columns of a group."""
    rows, vectors = len(first), len(first[0])
    before, loop, after = builder.block, builder.append_basic_block(), builder.append_basic_block()
    builder.branch(loop)
    builder.position_at_end(loop)
    group = builder.phi(INDEX)
    group.add_incoming(ir.Constant(INDEX, 0), before)
    phis = [[builder.phi(VECTOR) for _ in range(vectors)] for _ in range(rows)]
    line = builder.gep(a, [builder.mul(group, a_group)], source_etype=FLOAT)
    panel = builder.gep(b, [_times(builder, group, WIDTH * WIDTH * vectors)], source_etype=FLOAT)
    sums = [list(row) for row in phis]
    for column in range(WIDTH):
        weights = [
            load_vector(builder, _step(builder, panel, (column * vectors + v) * WIDTH))
            for v in range(vectors)
        ]
        for row in range(rows):
            value = splat(builder, builder.load(_step(builder, line, row * WIDTH + column), align=4))
            sums[row] = [_fma(builder, value, weights[v], sums[row][v]) for v in range(vectors)]
    for phi, start, end in zip(*map(_chained, (phis, first, sums)), strict=True):
        phi.add_incoming(start, before)
        phi.add_incoming(end, loop)
    following = builder.add(group, ir.Constant(INDEX, 1))
    group.add_incoming(following, loop)
    builder.cbranch(builder.icmp_signed("<", following, groups), loop, after)
    builder.position_at_end(after)
    return sums


def _chained(lines: list[list[Any]]) -> list[Any]:
    return [value for line in lines for value in line]


def _times(builder: Any, value: Any, number: int) -> Any:
    return builder.mul(value, ir.Constant(INDEX, number))


def _step(builder: Any, pointer: Any, floats: int) -> Any:
    return builder.gep(pointer, [ir.Constant(INDEX, floats)], source_etype=FLOAT)
