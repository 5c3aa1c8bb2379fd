"""Converter: published files -> a state dict. The contract; every other module here is one converter.

`weights.yaml` names the converter of an entry; `backends/weights.py` runs it once and keeps its result in the
cache as safetensors, so a converter may be slow but must not execute anything it reads.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor


class Converter(ABC):
    """Has no settings and no state: one class, one published format."""

    @abstractmethod
    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """Tensors by state-dict key, from the entry's verified `files` (member name of the manifest -> file).

        Raises `untrusted.FileError` when a file does not have the expected content.
        """
