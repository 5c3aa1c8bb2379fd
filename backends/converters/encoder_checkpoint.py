"""Public encoder checkpoints of any layout: one file, which may hold a generator beside the encoder."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from backends import checkpoints
from backends.converters import ConversionError, Converter
from backends.networks import encoders


@dataclass
class EncoderCheckpoint(Converter):
    """The encoder that the file holds, with its average latent; nothing in the file is executed."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        [file] = files.values()
        try:
            return checkpoints.load(file, encoders.PLUGIN)
        except checkpoints.CheckpointError as error:
            raise ConversionError(str(error)) from error
