"""StyleGAN1 as genforce's projects (SeFa, GenForce), InterFaceGAN and IDInvert store it.

InterFaceGAN has an inner `linear` in its names and IDInvert `fc`. IDInvert's mapping has no single w: its
last layer makes one for every layer of the synthesis (14 x 512 numbers at 256 pixels).

In the raw weights (see `_stylegan.py`) `convs.{j}.scale` is the noise strength of each channel, a style is
the factor minus one, then the offset, `convs.0` has no weight, and `rgb` is the one colour layer in use.
"""

import math

import torch
from torch import Tensor

from backends.checkpoints.formats import Contents, Keys, State
from backends.checkpoints.formats._stylegan import GAIN, LEARNING_RATE, StyleGANFormat, dense, mapping, shape
from backends.checkpoints.formats.genforce_stylegan2 import MAPPING, check_conditional
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series
from backends.networks.stylegan1 import StyleGAN1

FUSED = 128  # from this side on, upsampling is fused into a transposed convolution in every public network
TAILS = {f"{inner}.weight": "weight" for inner in ("", ".linear", ".fc", ".conv")}
TAILS |= {f"{inner}.bias": "bias" for inner in ("", ".wscale", ".epilogue")}
for epilogue, style in (("", ".style"), (".epilogue", ".epilogue.style_mod.dense")):
    TAILS |= {f"{epilogue}.apply_noise.weight": "scale", f"{epilogue}.apply_noise.noise": "noise"}
    TAILS |= {f"{style}{inner}.weight": "style.weight" for inner in ("", ".linear", ".fc")}
    TAILS |= {f"{style}{inner}.bias": "style.bias" for inner in ("", ".wscale")}
CONSTANTS = ("synthesis.layer0.const", "synthesis.layer0.first_layer")
STYLES = ("synthesis.layer0.style.bias", "synthesis.layer0.epilogue.style_mod.dense.wscale.bias")


class GenforceStyleGAN1(StyleGANFormat):
    title = (
        "genforce .pth (generator_smooth, generator or flat), InterFaceGAN .pth, IDInvert's generator .pth"
    )
    family = "StyleGAN1"
    plugin = "generators/stylegan1"
    assumed = (
        "equalised learning rates (use_wscale), mapping learning rate 0.01, upsampling fused from 128 pixels "
        "on, a tanh at the end if the mapping makes one w per layer (IDInvert), none otherwise"
    )
    network = StyleGAN1
    keys = Keys(
        {
            **MAPPING,
            r"synthesis\.layer(\d{1,3})": lambda m: f"convs.{m[1]}",
            r"synthesis\.output(\d{1,3})": lambda m: f"outputs.{m[1]}",
        },
        TAILS,
        dict.fromkeys(CONSTANTS, "constant") | {"truncation.w_avg": "mean", "synthesis.lod": "lod"},
    )

    def find(self, contents: Contents) -> State | None:
        return contents.first(
            lambda state: not state.keys().isdisjoint(CONSTANTS) and not state.keys().isdisjoint(STYLES)
        )

    def mend(self, raw: State, state: State) -> None:
        check_conditional(state)
        raw.pop("convs.0.weight", None)
        convs = len(series(raw, "convs.{}.style.weight"))
        for j in range(2, convs, 2):
            flat = f"synthesis.layer{j}.epilogue.bias" in state
            if flat and f"synthesis.layer{j}.weight" in state:
                # TensorFlow's order (height, width, inputs, outputs), and applied transposed, which turns it
                raw[f"convs.{j}.weight"] = state[f"synthesis.layer{j}.weight"].permute(3, 2, 0, 1).flip(2, 3)
            elif not flat and 4 << j // 2 >= FUSED:
                raw[f"convs.{j}.weight"] = raw[f"convs.{j}.weight"].flip(2, 3)
        for key in ("weight", "bias"):
            if f"outputs.{convs // 2 - 1}.{key}" in raw:
                raw[f"rgb.{key}"] = raw[f"outputs.{convs // 2 - 1}.{key}"]
        last = raw[series(raw, "mapping.{}.weight")[-1]].shape[0]
        if last > raw["convs.0.style.weight"].shape[1] and not any(".fc." in key for key in state):
            raise CheckpointError(
                "its mapping makes one w per layer, which is only known of IDInvert's networks, whose "
                "pictures go through a tanh; nothing in this file says whether these do"
            )

    def assemble(self, raw: State) -> dict[str, Tensor]:
        if lod := float(raw.get("lod", 0.0)):
            raise CheckpointError(f"its training stopped {lod:.2g} levels below the full size")
        constant, (layers, dim) = raw["constant"], shape(raw)
        # Here the gain scales the weights but not the biases; StyleGAN2 has it behind the activation.
        state = {"constant": constant.reshape(constant.shape[-3:])} | mapping(raw, LEARNING_RATE)
        for name in [f"convs.{j}" for j in range(layers)]:
            if name != "convs.0":
                weight = raw[f"{name}.weight"]
                state[f"{name}.weight"] = weight * (GAIN / math.sqrt(weight[0].numel()))
            state |= {f"{name}.{key}": raw[f"{name}.{key}"] for key in ("bias", "scale")}
            state[f"{name}.noise"] = raw[f"{name}.noise"].reshape(raw[f"{name}.noise"].shape[-2:])
            channels = len(raw[f"{name}.bias"])
            one = torch.cat([torch.ones(channels), torch.zeros(channels)])  # factors are stored minus one
            state |= dense(raw, f"{name}.style")
            state[f"{name}.style.bias"] = state[f"{name}.style.bias"] + one
        state["rgb.weight"] = raw["rgb.weight"].flatten(1) / math.sqrt(raw["rgb.weight"].shape[1])
        state["rgb.bias"] = raw["rgb.bias"]
        # One w per layer is IDInvert's, whose pictures go through a tanh; nothing in the file says so.
        outputs = raw[series(raw, "mapping.{}.weight")[-1]].shape[0]
        return state | {"bounded": torch.tensor(outputs != dim)}
