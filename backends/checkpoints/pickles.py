"""Reads other people's pickles without executing anything: each name in them stands for an inert object.

A pickle is a program that imports and calls what it names. Python's unpickler runs it, but here the names
lead to stand-ins only: a few build tensors, arrays and dicts, the others record what the file says of an
object.

`torch.load(weights_only=True)` is as safe, but stops at the first name that it does not know (an
`argparse.Namespace` of training options), and reads neither NVIDIA's nor TensorFlow's pickles.
"""

import math
import pickle
import re
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from backends.checkpoints.objects import (
    STORAGES,
    Array,
    CheckpointError,
    Dict,
    Dtype,
    Inert,
    Opaque,
    Storage,
    sizes,
    volume,
)
from backends.checkpoints.scan import scan

Persistent = Callable[[Any], Any] | None
Nested = Callable[[bytes], Storage] | None
NAMES = 1_000  # of classes and functions; a checkpoint has about 20
SPARE = 16 << 20  # bytes that tensors may have beyond twice the size of the file


def read(stream: Any, size: int, persistent: Persistent = None, nested: Nested = None) -> Any:
    """The object of the pickle at the position of `stream`, which is left behind it.

    `size` is that of the whole file; `persistent(identifier)` answers PyTorch's references to storages, and
    `nested(data)` reads the checkpoints inside a pickle. Raises CheckpointError saying what is wrong.
    """
    start = stream.tell()
    try:
        scan(stream)
        stream.seek(start)
        return Reader(stream, size, persistent, nested).load()
    except CheckpointError:
        raise
    except (pickle.UnpicklingError, EOFError, ValueError) as error:
        raise CheckpointError(f"a pickle that is cut off or damaged ({str(error)[:200]})") from error
    except Exception as error:  # whatever else objects do that are used as what they are not
        raise CheckpointError(f"a damaged pickle ({type(error).__name__})") from error


class Reader(pickle.Unpickler):
    """Python's unpickler with a closed world of names; arguments as those of `read`."""

    def __init__(self, stream: Any, size: int, persistent: Persistent, nested: Nested) -> None:
        super().__init__(stream, encoding="latin1")
        self.persistent, self.nested = persistent, nested
        self.room = 2 * size + SPARE  # bytes of all tensors together: many can be views of a few numbers
        self.names: dict[str, type] = {}
        self.once: dict[int, tuple[Any, Any]] = {}  # id of an argument -> it, and the answer

    def find_class(self, module: str, name: str) -> type:
        """A stand-in; it is a class of its own in every file, so that nothing outlasts the file."""
        path = f"{module}.{name}"
        if path not in self.names:
            if len(path) > 300 or len(self.names) >= NAMES:
                raise CheckpointError("a name that is no name, or too many of them")
            known = KNOWN.get(path.replace("numpy._core.", "numpy.core."))
            # OrderedDict, NVIDIA's EasyDict, defaultdict, ...; but not torch's modules of that name
            if known is None and re.search(r"(?<!Module)(?<!Parameter)[dD]ict$", path):
                known = Reader._dict
            made = {"__new__": self._calling(known)} if known else {"path": path}
            self.names[path] = type("Known" if known else "Opaque", (Inert if known else Opaque,), made)
        return self.names[path]

    def _calling(self, function: Callable[..., Any]) -> Callable[..., Any]:
        # not the reader itself, or all that the file holds would live until the next garbage collection
        reader = weakref.proxy(self)
        return lambda cls, *arguments: function(reader, *arguments)

    def persistent_load(self, pid: Any) -> Any:
        if self.persistent is None:
            raise CheckpointError("the pickle refers to data outside itself")
        return self.persistent(pid)

    def spend(self, size: int) -> None:
        """Counts bytes that the content will need. Raises CheckpointError when they are too many."""
        self.room -= size
        if self.room < 0:
            raise CheckpointError("objects that are larger together than the file: made to exhaust memory")

    def kept(self, argument: Any, function: Callable[[Any], Any]) -> Any:
        """`function(argument)`, computed once: the same bytes can be asked for again and again."""
        if id(argument) not in self.once:
            self.once[id(argument)] = argument, function(argument)
        return self.once[id(argument)][1]

    def numbers(self, data: Any, dtype: Any, shape: Any, fortran: bool) -> Callable[[], Tensor]:
        """What makes the tensor of a NumPy array. Raises CheckpointError."""
        data = self._bytes(data)
        if not isinstance(dtype, Dtype) or not isinstance(data, bytes | bytearray) or not sizes(shape):
            raise CheckpointError("a NumPy array of something else than numbers")
        kind = dtype.numpy()
        if math.prod(shape) * kind.itemsize != len(data):
            raise CheckpointError(f"a NumPy array of shape {shape} in {len(data):,} bytes")
        self.spend(volume(shape) * max(kind.itemsize, 4))
        array = np.ndarray(shape, kind, data, order="F" if fortran else "C")
        # torch knows no large unsigned and no foreign byte order, and may not write into a file
        target = np.int64 if kind.kind == "u" and kind.itemsize > 1 else kind.newbyteorder("=")
        return lambda: torch.from_numpy(array.astype(target))

    def _dict(self, items: Any = (), *_: Any) -> Dict:
        made = Dict()
        pairs = list(items.items()) if isinstance(items, dict) else items
        if isinstance(pairs, list | tuple):  # otherwise it is the factory of a defaultdict
            self.spend(100 * len(pairs))
            for pair in pairs:
                if not isinstance(pair, list | tuple) or len(pair) != 2 or not isinstance(pair[0], str | int):
                    raise CheckpointError("a dict of something else than names and values")
                made[pair[0]] = pair[1]
        return made

    def _tensor(self, storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Array:
        """A view of the storage, after a check that it stays inside."""
        if not isinstance(storage, Storage):
            raise CheckpointError("a tensor without a storage")
        if not sizes((offset,), size, stride) or len(size) != len(stride):
            raise CheckpointError("a tensor with an impossible shape")
        last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
        if math.prod(size) and last >= storage.count:
            raise CheckpointError(
                f"a tensor of shape {size} in a storage of {storage.count:,} numbers: the file is cut off or "
                "made to exhaust memory"
            )
        # also of a view that repeats a number (stride 0)
        self.spend(volume(size) * max(storage.dtype.itemsize, 4))

        def make() -> Tensor:
            assert storage.data is not None  # whoever answers references to storages sees to that
            return torch.as_strided(storage.data, size, stride, offset)

        return Array(make)

    def _parameter(self, data: Any, *_: Any) -> Array:
        if not isinstance(data, Array):
            raise CheckpointError("a parameter that is no tensor")
        return data

    def _from_type(self, function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
        if function not in self.names.values() or not isinstance(arguments, tuple):
            raise CheckpointError("a tensor of a type that is not read")
        return function(*arguments)

    def _from_bytes(self, data: Any) -> Storage:
        """A storage as a checkpoint of its own: how plain `pickle` writes tensors."""
        if self.nested is None:
            raise CheckpointError("a checkpoint nested in a checkpoint calls for more than its data")
        return self.kept(self._bytes(data), self.nested)

    def _bytes(self, text: Any = b"", *_: Any) -> Any:
        """Bytes, which protocol 2 writes as text."""
        return self.kept(text, lambda text: text.encode("latin1")) if isinstance(text, str) else text

    def _scalar(self, dtype: Any, data: Any = b"") -> Any:
        return self.numbers(data, dtype, (), False)().item()

    def _frombuffer(self, data: Any, dtype: Any, shape: Any, order: Any = "C") -> Array:
        return Array(self.numbers(data, dtype, shape, order == "F"))

    def _dtype(self, code: Any = "", *_: Any) -> Dtype:
        return Dtype(code if isinstance(code, str) else "")


def storage_type(name: Any) -> torch.dtype:
    """The type of the numbers of `torch.FloatStorage`, `torch.cuda.FloatStorage` and so on."""
    path = name.path if isinstance(name, type) and issubclass(name, Opaque) else ""
    kind = path.rpartition(".")[2]
    if kind not in STORAGES:
        raise CheckpointError(f"a tensor of kind {kind[:60]!r}; there are: {', '.join(STORAGES)}")
    return STORAGES[kind]


KNOWN: dict[str, Callable[..., Any]] = {
    "_codecs.encode": Reader._bytes,
    "builtins.bytearray": Reader._bytes,
    "torch._utils._rebuild_tensor": Reader._tensor,
    "torch._utils._rebuild_tensor_v2": Reader._tensor,  # v3 is for types of numbers that are not read here
    "torch._utils._rebuild_parameter": Reader._parameter,
    "torch._utils._rebuild_parameter_with_state": Reader._parameter,
    "torch._tensor._rebuild_from_type_v2": Reader._from_type,
    "torch.storage._load_from_bytes": Reader._from_bytes,
    "numpy.core.multiarray._reconstruct": lambda reader, *_: Array(fill=reader.numbers),
    "numpy.core.multiarray.scalar": Reader._scalar,
    "numpy.core.numeric._frombuffer": Reader._frombuffer,
    "numpy.dtype": Reader._dtype,
}
