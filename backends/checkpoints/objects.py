"""What the names, calls and references of a pickle become: objects that do nothing."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from backends.untrusted import FileError

STORAGES = {  # torch's names of types
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


class CheckpointError(FileError):
    """A file that cannot be used; the message says what was found in it and what is supported."""


class Inert:
    """What a name, a call or a reference of a pickle becomes."""

    def __setstate__(self, state: Any) -> None:
        raise CheckpointError("the pickle sets the state of something that has none")


class Opaque(Inert):
    """An object of a class that we do not know: what the file says of it, without any behaviour."""

    path: ClassVar[str] = ""  # module and name of the class; nothing is imported for it
    arguments: tuple[Any, ...] = ()
    state: Any = None  # what its __setstate__ would have got

    def __new__(cls, *arguments: Any, **_: Any) -> "Opaque":
        made = super().__new__(cls)
        made.arguments = arguments
        return made

    def __setstate__(self, state: Any) -> None:
        self.state = state

    def append(self, item: Any) -> None:
        """Items and entries of unknown collections are dropped."""

    def __setitem__(self, key: Any, value: Any) -> None:
        """As `append`."""


class Dict(dict[Any, Any]):
    """Any kind of dict; its attributes (the version numbers of a state dict) are of no use here."""

    def __setstate__(self, state: Any) -> None:
        """Drops them."""


@dataclass(eq=False)
class Storage(Inert):
    """Consecutive numbers of one type that tensors are views of."""

    dtype: torch.dtype
    count: int
    data: Tensor | None = None  # one dimension; older files have it behind the pickle


@dataclass(eq=False)
class Array(Inert):
    """A tensor, or a NumPy array, which is announced first and gets its content by BUILD."""

    make: Callable[[], Tensor] | None = None
    items: list[Any] | None = None  # of an array of Python objects
    fill: Callable[..., Callable[[], Tensor]] | None = None  # makes it of the content, before that is there

    @cached_property
    def tensor(self) -> Tensor | None:
        """A view of the file, or a copy of a NumPy array; None if it holds no numbers."""
        try:
            return self.make() if self.make else None
        except (RuntimeError, TypeError, ValueError) as error:
            raise CheckpointError("a tensor with an impossible shape") from error

    def __setstate__(self, state: Any) -> None:
        if self.fill is None or not isinstance(state, tuple) or len(state) != 5:
            raise CheckpointError("an array with an unusable state")
        _, shape, dtype, fortran, data = state
        if isinstance(dtype, Dtype) and dtype.code in ("O", "O8") and isinstance(data, list):
            self.items = data
        else:
            self.make = self.fill(data, dtype, shape, fortran is True)
        self.fill = None


@dataclass(eq=False)
class Dtype(Inert):
    """A NumPy type: code such as "f4", and byte order."""

    code: str
    order: str = "="

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "=", "|"):
            raise CheckpointError("an array of an unknown type")
        self.order = state[1]

    def numpy(self) -> np.dtype:
        if not re.fullmatch(r"f[248]|[iu][1248]|b1", self.code):
            raise CheckpointError(f"a NumPy array of type {self.code!r}; only numbers are read")
        return np.dtype(self.order + self.code)


def sizes(*groups: Any) -> bool:
    """Whether these are short tuples of sizes; anything else could be a bomb when printed or multiplied."""
    return all(
        isinstance(group, tuple) and len(group) <= 8 and all(type(n) is int and 0 <= n < 2**48 for n in group)
        for group in groups
    )


def volume(shape: tuple[int, ...]) -> int:
    """The numbers in a tensor of this shape; an axis of length zero hides no other one."""
    return math.prod(max(n, 1) for n in shape)
