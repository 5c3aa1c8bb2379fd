"""StyleGAN1 as InterFaceGAN and IDInvert store it: a flat state dict, `linear` in the one, `fc` in the other.

IDInvert's mapping has no single w: its last layer makes one for every row (14 x 512 numbers at 256 pixels).
"""

from typing import Any

from backends.checkpoints.layouts import Layout, State, among
from backends.checkpoints.layouts._stylegan1 import Layer, assemble, facts
from backends.checkpoints.layouts._stylegan2 import Dense
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

STYLE = ".epilogue.style_mod.dense"


class FlatStyleGAN1(Layout):
    family = "StyleGAN1"
    title = "InterFaceGAN .pth, or IDInvert's generator .pth (one w per row)"
    plugin = "generators/stylegan1"

    def find(self, tree: Any) -> State | None:
        return among(tree, ["state_dict"], lambda s: f"synthesis.layer0{STYLE}.wscale.bias" in s)

    def facts(self, part: State) -> dict[str, Any]:
        styles = series(part, f"synthesis.layer{{}}{STYLE}.{_linear(part)}.weight")
        own = part[f"mapping.dense7.{_linear(part)}.weight"].shape[0] > part[styles[0]].shape[1]
        return facts(len(styles), part[styles[0]].shape[1]) | {
            "note": "one w per row (IDInvert)" if own else ""
        }

    def translate(self, part: State) -> State:
        try:
            linear = _linear(part)
            mapping = [
                Dense(part[key], part[key.replace(f"{linear}.weight", "wscale.bias")])
                for key in series(part, f"mapping.dense{{}}.{linear}.weight")
            ]
            count = len(series(part, f"synthesis.layer{{}}{STYLE}.wscale.bias"))
            layers = [_layer(part, f"synthesis.layer{j}", linear) for j in range(count)]
            last = f"synthesis.output{count // 2 - 1}"
            rgb = Dense(part[f"{last}.conv.weight"], part[f"{last}.bias"])
            constant = part.get("synthesis.layer0.const", part.get("synthesis.layer0.first_layer"))
            if constant is None:
                raise CheckpointError("synthesis.layer0.const is missing")
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        return assemble(
            mapping, part.get("truncation.w_avg"), constant, layers, rgb, part.get("synthesis.lod")
        )


def _linear(part: State) -> str:
    return "fc" if f"synthesis.layer0{STYLE}.fc.weight" in part else "linear"


def _layer(part: State, name: str, linear: str) -> Layer:
    weight = part.get(f"{name}.conv.weight")
    if f"{name}.weight" in part:
        # Fused upsampling keeps TensorFlow's order (height, width, inputs, outputs) and is applied
        # transposed, which turns the kernel.
        weight = part[f"{name}.weight"].permute(3, 2, 0, 1).flip(2, 3)
    return Layer(
        weight,
        part[f"{name}.epilogue.bias"],
        part[f"{name}.epilogue.apply_noise.weight"],
        part[f"{name}.epilogue.apply_noise.noise"],
        Dense(part[f"{name}{STYLE}.{linear}.weight"], part[f"{name}{STYLE}.wscale.bias"]),
    )
