"""NumPy arrays in a pickle: built from what it says of them, after checks; only numbers are read."""

import math
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor


class CheckpointError(ValueError):
    """A file that cannot be used; the message says what was found in it and what is supported."""


@dataclass(eq=False)
class Array:
    """A NumPy array: announced first, filled by the pickle's BUILD."""

    value: np.ndarray | None = None

    @cached_property
    def tensor(self) -> Tensor | None:
        """The same numbers; a view of the file unless they are unaligned or big-endian there."""
        array = self.value
        if array is None:
            return None
        native = array.dtype.isnative and array.flags.aligned and array.flags.writeable
        return torch.from_numpy(array if native else array.astype(array.dtype.newbyteorder("=")))


@dataclass(eq=False)
class Dtype:
    """A NumPy dtype: code such as "f4", and byte order."""

    code: str
    order: str = "="

    def numpy(self) -> np.dtype:
        if not re.fullmatch(r"[fiu][1248]|b1", self.code) or self.order not in "<>=|":
            raise CheckpointError(f"a NumPy array of type {self.code!r}; only numbers are read")
        return np.dtype(self.order + self.code)


def sizes(*groups: Any) -> bool:
    """Whether these are short tuples of sizes; anything else could be a bomb when printed or multiplied."""
    return all(
        isinstance(group, tuple) and len(group) <= 8 and all(type(n) is int and 0 <= n < 2**48 for n in group)
        for group in groups
    )


def dtype_of(code: Any, *_: Any) -> Dtype:
    if not isinstance(code, str):
        raise CheckpointError("a NumPy dtype without a name")
    return Dtype(code)


def filled(state: Any) -> np.ndarray:
    """The array of (version, shape, dtype, whether columns come first, bytes)."""
    if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], Dtype):
        raise CheckpointError("a NumPy array with an unusable state")
    _, shape, dtype, fortran, data = state
    return array_of(data, dtype, shape, "F" if fortran is True else "C")


def array_of(data: Any, dtype: Dtype, shape: Any, order: str = "C") -> np.ndarray:
    kind = dtype.numpy()
    if not isinstance(data, bytes | memoryview) or not sizes(shape):
        raise CheckpointError("a NumPy array of something else than numbers")
    if math.prod(shape) * kind.itemsize != len(data):
        raise CheckpointError(f"a NumPy array of shape {tuple(shape)} in {len(data):,} bytes")
    return np.frombuffer(data, kind).reshape(shape, order="F" if order == "F" else "C")


def number(dtype: Dtype, data: Any = b"") -> float | int | bool:
    return array_of(data, dtype, ()).item()
