"""Public StyleGAN checkpoints of any format: one file, told from its keys and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from backends import checkpoints
from backends.converters import ConversionError, Converter


@dataclass
class Checkpoint(Converter):
    """The network that the file holds, in our own names; nothing in the file is executed."""

    plugin: ClassVar[str] = ""  # that reads the network, where a file may hold several

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        [file] = files.values()
        try:
            return checkpoints.load(file, self.plugin)
        except checkpoints.CheckpointError as error:
            raise ConversionError(str(error)) from error
