"""StyleGAN2 as NVIDIA's TensorFlow code pickles it: a tuple (G, D, Gs) of dnnlib.tflib.network.Network."""

from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.layouts import Layout, State
from backends.checkpoints.layouts._stylegan2 import Dense, Styled, assemble, facts
from backends.checkpoints.objects import Array, CheckpointError, Opaque
from backends.networks.mapping import series


class NVIDIATensorFlow(Layout):
    family = "StyleGAN2"
    title = "NVIDIA .pkl of the TensorFlow code (G, D, Gs)"
    plugin = "generators/stylegan2"

    def find(self, tree: Any) -> State | None:
        if not isinstance(tree, tuple | list) or len(tree) not in (3, 4):
            return None
        part = variables(tree[-1])  # Gs, the average; a tuple of four (IDInvert's) starts with an encoder
        return part if "synthesis/4x4/Conv/mod_weight" in part else None

    def facts(self, part: State) -> dict[str, Any]:
        colours = [part[f"{name}/mod_weight"] for name in _rgbs(part)]
        return facts([weight.shape[1] for weight in colours], colours[0].shape[0] if colours else 0)

    def translate(self, part: State) -> State:
        if "mapping/LabelEmbed/weight" in part or "mapping/LabelConcat/weight" in part:
            raise CheckpointError(
                "the network is conditional (it has a label input); only unconditional ones are read"
            )
        try:
            keys = series(part, "mapping/Dense{}/weight")
            mapping = [Dense(part[key].T, part[key.replace("weight", "bias")]) for key in keys]
            rgbs = [_styled(part, name) for name in _rgbs(part)]
            sides = [4 << k for k in range(len(rgbs))]
            names = ["4x4/Conv", *(f"{s}x{s}/{conv}" for s in sides[1:] for conv in ("Conv0_up", "Conv1"))]
            convs = [_styled(part, f"synthesis/{name}", j) for j, name in enumerate(names)]
            constant = part["synthesis/4x4/Const/const"]
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        return assemble(mapping, part.get("dlatent_avg"), constant, convs, rgbs)


def variables(network: Any) -> State:
    """The variables of a recorded Network and its components, as tensors; each component is read once."""
    part: State = {}
    waiting, seen = [("", network)], {id(network)}
    while waiting:
        prefix, current = waiting.pop()
        state = current.state if isinstance(current, Opaque) and isinstance(current.state, dict) else {}
        own = state.get("variables")
        for pair in own if isinstance(own, list) else ():
            if isinstance(pair, tuple | list) and len(pair) == 2 and isinstance(pair[0], str):
                value = _tensor(pair[1])
                part.update({} if value is None else {prefix + pair[0]: value})
        components = state.get("components")
        for name, component in components.items() if isinstance(components, dict) else ():
            if id(component) not in seen:
                seen.add(id(component))
                waiting.append((f"{prefix}{name}/", component))
    return part


def _tensor(value: Any) -> Tensor | None:
    if isinstance(value, Array):
        return value.tensor
    return torch.tensor(float(value)) if isinstance(value, int | float) else None


def _rgbs(part: State) -> list[str]:
    names = [f"synthesis/{4 << k}x{4 << k}/ToRGB" for k in range(12)]
    return [name for name in names if f"{name}/mod_weight" in part]


def _styled(part: State, name: str, j: int | None = None) -> Styled:
    weight = part[f"{name}/weight"].permute(3, 2, 0, 1)  # TensorFlow: height, width, inputs, outputs
    return Styled(
        weight.flip(2, 3)
        if j is not None and j % 2
        else weight,  # TensorFlow's transposed convolution turns them
        part[f"{name}/bias"],
        Dense(part[f"{name}/mod_weight"].T, part[f"{name}/mod_bias"] + 1),  # the one is added at run time
        None if j is None else part[f"{name}/noise_strength"],
        None if j is None else part[f"synthesis/noise{j}"],
    )
