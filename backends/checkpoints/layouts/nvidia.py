"""StyleGAN2 as NVIDIA's stylegan2-ada-pytorch and stylegan3 pickle it.

Their modules are "persistent": the pickle holds the source code of their classes, and their own loader
executes it. Here only the recorded state is read: nested dicts of _parameters, _buffers and _modules.
"""

from typing import Any

from torch import Tensor

from backends.checkpoints.layouts import Layout, State, tensors
from backends.checkpoints.layouts._stylegan2 import Dense, Styled, assemble, facts
from backends.checkpoints.objects import CheckpointError, Opaque
from backends.networks.mapping import series


class NVIDIA(Layout):
    family = "StyleGAN2"
    title = "NVIDIA .pkl of the PyTorch code (G_ema)"
    plugin = "generators/stylegan2"

    def find(self, tree: Any) -> State | None:
        if not isinstance(tree, dict):
            return None
        for candidate in (tree.get("G_ema"), tree.get("G"), tree):
            part = module_state(candidate) if isinstance(candidate, Opaque) else tensors(candidate)
            if "synthesis.b4.const" in part:
                return part
        return None

    def facts(self, part: State) -> dict[str, Any]:
        colours = [part[f"synthesis.b{side}.torgb.affine.weight"] for side in _sides(part)]
        return facts([weight.shape[0] for weight in colours], colours[0].shape[1] if colours else 0)

    def translate(self, part: State) -> State:
        if "mapping.embed.weight" in part:
            raise CheckpointError(
                "the network is conditional (it has a label input); only unconditional ones are read"
            )
        try:
            mapping = [
                Dense(part[key], part[key.replace("weight", "bias")])
                for key in series(part, "mapping.fc{}.weight")
            ]
            sides = _sides(part)
            names = ["b4.conv1", *(f"b{side}.conv{i}" for side in sides[1:] for i in (0, 1))]
            convs = [_styled(part, f"synthesis.{name}") for name in names]
            rgbs = [_styled(part, f"synthesis.b{side}.torgb") for side in sides]
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        # Networks trained in half precision clamp activations at 256; trained weights stay far below.
        return assemble(mapping, part.get("mapping.w_avg"), part["synthesis.b4.const"], convs, rgbs)


def module_state(module: Opaque) -> State:
    """The state dict of a recorded torch module; a module that turns up twice is read once."""
    part: State = {}
    waiting, seen = [("", module)], {id(module)}
    while waiting:
        prefix, current = waiting.pop()
        state = current.state
        if current.arguments and isinstance(current.arguments[0], dict):  # persistent: an argument
            state = current.arguments[0].get("state")
        for group in ("_parameters", "_buffers", "_modules"):
            for name, value in _entries(state, group):
                if isinstance(value, Tensor):
                    part[f"{prefix}{name}"] = value
                elif isinstance(value, Opaque) and group == "_modules" and id(value) not in seen:
                    seen.add(id(value))
                    waiting.append((f"{prefix}{name}.", value))
    return part


def _entries(state: Any, group: str) -> list[tuple[str, Any]]:
    values = state.get(group) if isinstance(state, dict) else None
    return [(k, v) for k, v in values.items() if isinstance(k, str)] if isinstance(values, dict) else []


def _sides(part: State) -> list[int]:
    """Resolutions with a colour layer: all of them, in networks with skip connections."""
    return [4 << i for i in range(12) if f"synthesis.b{4 << i}.torgb.affine.weight" in part]


def _styled(part: State, name: str) -> Styled:
    return Styled(
        part[f"{name}.weight"],
        part[f"{name}.bias"],
        Dense(part[f"{name}.affine.weight"], part[f"{name}.affine.bias"]),  # starts at one: nothing to add
        part.get(f"{name}.noise_strength"),
        part.get(f"{name}.noise_const"),
    )
