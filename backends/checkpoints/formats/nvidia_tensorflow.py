"""StyleGAN2 as NVIDIA's TensorFlow code pickles it: a tuple (G, D, Gs) of dnnlib.tflib.network.Network."""

from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.formats import Contents, Keys, State, tensor
from backends.checkpoints.formats._stylegan import CONDITIONAL, StyleGAN2Format
from backends.checkpoints.formats.nvidia import level
from backends.checkpoints.objects import CheckpointError, Opaque


class NVIDIATensorFlow(StyleGAN2Format):
    title = "NVIDIA .pkl of the TensorFlow code (G, D, Gs)"
    keys = Keys(
        {
            r"mapping/Dense(\d{1,3})": lambda m: f"mapping.{m[1]}",
            r"synthesis/4x4/Conv": lambda m: "convs.0",
            r"synthesis/(\d{1,4})x\d{1,4}/Conv0_up": lambda m: f"convs.{2 * level(m[1]) - 1}",
            r"synthesis/(\d{1,4})x\d{1,4}/Conv1": lambda m: f"convs.{2 * level(m[1])}",
            r"synthesis/(\d{1,4})x\d{1,4}/ToRGB": lambda m: f"rgbs.{level(m[1])}",
            r"synthesis/noise(\d{1,3})": lambda m: f"convs.{m[1]}",
        },
        {
            "/weight": "weight",
            "/bias": "bias",
            "/noise_strength": "strength",
            "": "noise",
            "/mod_weight": "style.weight",
            "/mod_bias": "style.bias",
        },
        {"synthesis/4x4/Const/const": "constant", "dlatent_avg": "mean"},
    )

    def find(self, contents: Contents) -> State | None:
        tree = contents.tree
        if not isinstance(tree, tuple | list) or len(tree) not in (3, 4):
            return None
        state = variables(tree[-1])  # Gs, the average; a tuple of four (IDInvert's) starts with an encoder
        return state if "synthesis/4x4/Conv/mod_weight" in state else None

    def mend(self, raw: State, state: State) -> None:
        if "mapping/LabelEmbed/weight" in state or "mapping/LabelConcat/weight" in state:
            raise CheckpointError(CONDITIONAL)
        for key, value in raw.items():
            if value.dim() == 2 and key.endswith("weight"):
                raw[key] = value.T
            elif value.dim() == 4 and key.endswith("weight"):  # height, width, inputs, outputs
                up = key.startswith("convs") and int(key.split(".")[1]) % 2
                # TensorFlow's transposed convolution turns the kernels
                raw[key] = value.permute(3, 2, 0, 1).flip(2, 3) if up else value.permute(3, 2, 0, 1)
            elif key.endswith("style.bias"):
                raw[key] = value + 1  # the one is added at run time


def variables(network: Any) -> State:
    """The variables of a recorded Network and its components, as tensors; each component is read once."""
    state = State({})
    waiting, seen = [("", network)], {id(network)}
    while waiting:
        prefix, current = waiting.pop()
        recorded = current.state if isinstance(current, Opaque) and isinstance(current.state, dict) else {}
        own = recorded.get("variables")
        for pair in own if isinstance(own, list) else ():
            if isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str):
                value = _variable(pair[1])
                state.update({} if value is None else {prefix + pair[0]: value})
        components = recorded.get("components")
        for name, component in components.items() if isinstance(components, dict) else ():
            if isinstance(name, str) and id(component) not in seen and len(prefix) < 200:
                seen.add(id(component))
                waiting.append((f"{prefix}{name}/", component))
    return state


def _variable(value: Any) -> Tensor | None:
    return torch.tensor(float(value)) if isinstance(value, int | float) else tensor(value)
