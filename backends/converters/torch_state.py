"""PyTorch checkpoints: one `.pth` file that holds a state dict."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError

import torch
from torch import Tensor

from backends.converters import ConversionError, Converter


@dataclass
class TorchState(Converter):
    """Keys and tensors as they are, read with `weights_only`: such a file can hold tensors but no code."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """The state dict of the only file, floating point in float32."""
        [file] = files.values()
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except (UnpicklingError, EOFError, RuntimeError) as error:
            raise ConversionError(f"{file.name} is not a checkpoint of plain tensors") from error
        if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
            raise ConversionError(f"{file.name} holds no state dict (names to tensors)")
        # contiguous copies: safetensors refuses tensors that share memory
        return {
            str(key): (value.float() if value.is_floating_point() else value).clone().contiguous()
            for key, value in state.items()
        }
