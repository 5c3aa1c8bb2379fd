"""PyTorch checkpoints: one `.pth` file that holds a state dict."""

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from backends.checkpoints.files import read
from backends.checkpoints.formats import tensor
from backends.converters import Converter
from backends.untrusted import FileError


class TorchState(Converter):
    """Keys and tensors as they are, floating point in float32; nothing in the file is executed."""

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        [file] = files.values()
        tree = read(file)
        found = {str(key): tensor(value) for key, value in tree.items()} if isinstance(tree, dict) else {}
        state = {key: value for key, value in found.items() if value is not None}
        if not state or len(state) < len(found):
            raise FileError(f"{file.name} holds no state dict (names to tensors)")
        return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
