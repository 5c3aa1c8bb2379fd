"""PyTorch checkpoints: one `.pth` file that holds a state dict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from backends.checkpoints import CheckpointError
from backends.checkpoints.files import read
from backends.checkpoints.formats import tensor
from backends.converters import ConversionError, Converter


@dataclass
class TorchState(Converter):
    """Keys and tensors as they are; nothing in the file is executed."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """The state dict of the only file, floating point in float32."""
        [file] = files.values()
        try:
            tree = read(file)
        except CheckpointError as error:
            raise ConversionError(f"not a checkpoint of plain tensors: {error}") from error
        state = {key: tensor(value) for key, value in tree.items()} if isinstance(tree, dict) else {}
        if not state or any(value is None for value in state.values()):
            raise ConversionError(f"{file.name} holds no state dict (names to tensors)")
        # contiguous copies: safetensors refuses tensors that share memory
        return {
            str(key): (value.float() if value.is_floating_point() else value).clone().contiguous()
            for key, value in state.items()
            if value is not None
        }
