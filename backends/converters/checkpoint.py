"""Public StyleGAN checkpoints of any format: one file, told from its keys and shapes."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from torch import Tensor

from backends import checkpoints
from backends.converters import Converter


class Checkpoint(Converter):
    """The network that the file holds, in our own names; nothing in the file is executed."""

    plugin: ClassVar[str] = ""  # that reads the network, where a file may hold several

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        [file] = files.values()
        return checkpoints.load(file, self.plugin)
