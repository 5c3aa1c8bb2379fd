"""What is computed of weights once, and again when they have changed."""

from collections.abc import Callable, Iterable
from typing import Any

from torch import Tensor


class Kept:
    """One value that is made of tensors.

    It is made anew when a tensor was changed in place (as optimisers do) or replaced by another. Changes
    through `Tensor.data` go unnoticed: torch does not count them.
    """

    def __init__(self) -> None:
        self._versions: list[tuple[int, int]] = []
        self._tensors: list[Tensor] = []  # hold on to the memory: no other tensor must get the same address
        self._value: Any = None

    def get(self, tensors: Iterable[Tensor], make: Callable[[], Any]) -> Any:
        """The value that `make` returned for these tensors as they are now."""
        tensors = list(tensors)
        versions = [(tensor.data_ptr(), tensor._version) for tensor in tensors]
        if versions != self._versions:
            self._versions, self._value = [], None  # first, so that a failure leaves nothing wrong behind
            self._value = make()
            self._versions, self._tensors = versions, [tensor.detach() for tensor in tensors]
        return self._value

    def __deepcopy__(self, memo: dict[int, Any]) -> "Kept":
        """Empty: a copy's tensors are others."""
        return Kept()
