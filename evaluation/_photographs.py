"""What reports ask of photographs: `backends/dataset.py` loads them, but evaluation needs no training."""

from typing import Protocol, runtime_checkable

from backends import Images


@runtime_checkable
class Photographs(Protocol):
    """Square pictures of the generator's size."""

    @property
    def names(self) -> list[str]:
        """Of their files."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...

    def images(self, indices: list[int] | None = None) -> Images:
        """The chosen pictures (all by default) in [-1, 1]."""
        ...
