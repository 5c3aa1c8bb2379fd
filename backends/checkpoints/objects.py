"""What the names in a pickle stand for: tensors, arrays and dicts are built, everything else is recorded."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.arrays import (
    Array,
    CheckpointError,
    Dtype,
    array_of,
    dtype_of,
    filled,
    number,
    sizes,
)


@dataclass(frozen=True)
class Name:
    """`module.name` as the pickle spells it; nothing is imported for it."""

    path: str


@dataclass(eq=False)
class Opaque:
    """An object of a class that we do not know: what the file says of it, without a behaviour."""

    path: str
    arguments: tuple[Any, ...] = ()
    state: Any = None  # what its __setstate__ would have got
    items: list[Any] = field(default_factory=list)  # what would have been appended to it
    entries: dict[Any, Any] = field(default_factory=dict)  # its items, if it is a kind of dict


@dataclass(frozen=True)
class Storage:
    """Consecutive numbers of one type that tensors are views of."""

    data: Tensor  # one dimension


STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "UntypedStorage": torch.uint8,
}


def storage_type(name: Any) -> torch.dtype:
    """The type of the numbers of `torch.FloatStorage`, `torch.cuda.FloatStorage` and so on."""
    kind = name.path.rpartition(".")[2] if isinstance(name, Name) else type(name).__name__
    if kind not in STORAGES:
        raise CheckpointError(f"a tensor of kind {kind[:60]!r}; there are: {', '.join(STORAGES)}")
    return STORAGES[kind]


def inert(module: Any, name: Any) -> Name:
    if not isinstance(module, str) or not isinstance(name, str) or len(module) + len(name) > 300:
        raise CheckpointError("a name that is no name")
    return Name(f"{module}.{name}")


def construct(kind: Any, arguments: tuple[Any, ...]) -> Any:
    """What `kind(*arguments)` would give, of the few kinds that checkpoints need; otherwise an Opaque."""
    path = kind.path if isinstance(kind, Name) else type(kind).__name__
    build = KINDS.get(path.replace("numpy._core.", "numpy.core."))
    if build is None and path.endswith(".EasyDict"):  # NVIDIA's dict with attributes
        build = _dict
    if build is None:
        return Opaque(path, arguments)
    try:
        return build(*arguments)
    except (TypeError, AttributeError, RuntimeError, OverflowError) as error:
        raise CheckpointError(f"{path} with unusable arguments: {str(error)[:200]}") from error


def update(target: Any, state: Any) -> Any:
    """BUILD: gives `state` to an object that was announced before."""
    if isinstance(target, Array):
        target.value = filled(state)
    elif isinstance(target, Dtype):
        if not isinstance(state, tuple) or len(state) < 2 or not isinstance(state[1], str):
            raise CheckpointError("a NumPy dtype with an unusable state")
        target.order = state[1]
    elif isinstance(target, Opaque):
        target.state = state
    return target  # an OrderedDict's attributes (a state dict's version numbers) are of no use here


def _dict(*arguments: Any) -> dict[Any, Any]:
    items = arguments[0] if arguments else []
    if isinstance(items, dict):
        return dict(items)
    items = _list(items)
    if not all(
        isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[0], str) for pair in items
    ):
        raise CheckpointError("a dict of something else than names and values")
    return {key: value for key, value in items}


def _tensor(storage: Any, offset: int, size: tuple, stride: tuple, *_: Any) -> Tensor:
    """A view of the storage, after a check that it stays inside."""
    if not isinstance(storage, Storage):
        raise CheckpointError("a tensor without a storage")
    if not sizes((offset,), size, stride) or len(size) != len(stride):
        raise CheckpointError("a tensor with an impossible shape")
    count = math.prod(size)
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    # A stride of zero would let a few bytes stand for a tensor that fills the memory once it is copied.
    if count and (last >= storage.data.numel() or count > storage.data.numel()):
        raise CheckpointError(
            f"a tensor of shape {tuple(size)} in a storage of {storage.data.numel():,} numbers: the file is "
            "cut off or made to exhaust memory"
        )
    return torch.as_strided(storage.data, size, stride, offset)


def _list(items: Any = ()) -> list[Any]:
    if not isinstance(items, list | tuple):
        raise CheckpointError(f"a collection made of a {type(items).__name__}")
    return list(items)


def _typed(
    storage: Any, offset: int, size: tuple, stride: tuple, grad: Any, hooks: Any, kind: Any, *_: Any
) -> Tensor:
    """Version 3: an untyped storage, and the type beside it."""
    kinds = {str(dtype): dtype for dtype in STORAGES.values()}
    dtype = kinds.get(kind.path) if isinstance(kind, Name) else None
    if dtype is None or not isinstance(storage, Storage) or storage.data.numel() % dtype.itemsize:
        raise CheckpointError("a tensor of a type that is not read")
    return _tensor(Storage(storage.data.view(dtype)), offset, size, stride)


def _from_type(function: Any, kind: Any, arguments: tuple, state: Any = None) -> Any:
    return construct(function, arguments)


def _nested(data: Any) -> Storage:
    """A storage as the bytes of a checkpoint of its own: how plain `pickle` writes tensors."""
    from backends.checkpoints.containers import nested_storage

    return nested_storage(memoryview(data))


def _bytes(text: Any = b"", encoding: str = "latin1") -> Any:
    """Bytes that protocol 2 wrote as text."""
    if isinstance(text, str):
        try:
            return text.encode("latin1")
        except UnicodeEncodeError as error:
            raise CheckpointError("bytes written as text that is not Latin-1") from error
    return text


KINDS: dict[str, Callable[..., Any]] = {
    "collections.OrderedDict": _dict,
    "builtins.dict": _dict,
    "__builtin__.dict": _dict,
    "builtins.set": _list,
    "__builtin__.set": _list,
    "builtins.bytearray": _bytes,
    "_codecs.encode": _bytes,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _typed,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": _from_type,
    "torch.storage._load_from_bytes": _nested,
    "torch.Size": lambda items=(): tuple(_list(items)),
    "numpy.core.multiarray._reconstruct": lambda *_: Array(),
    "numpy.core.multiarray.scalar": number,
    "numpy.core.numeric._frombuffer": lambda data, dtype, shape, order="C": Array(
        array_of(data, dtype, shape, order)
    ),
    "numpy.dtype": dtype_of,
}
