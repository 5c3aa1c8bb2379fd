"""What all StyleGAN1 formats have in common; see `_stylegan.py`.

`convs.{j}.scale` is the noise strength of each channel, a raw style is the factor minus one, then the offset,
`convs.0` has no weight, and `rgb` is the one colour layer in use.
"""

import math

import torch
from torch import Tensor

from backends.checkpoints.formats import State
from backends.checkpoints.formats._stylegan import GAIN, LEARNING_RATE, StyleGANFormat, dense, mapping, shape
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series
from backends.networks.stylegan1 import StyleGAN1


class StyleGAN1Format(StyleGANFormat):
    family = "StyleGAN1"
    plugin = "generators/stylegan1"
    assumed = (
        "equalised learning rates (use_wscale), mapping learning rate 0.01, upsampling fused from 128 pixels "
        "on, a tanh at the end if the mapping makes one w per layer (IDInvert), none otherwise"
    )
    network = StyleGAN1

    def assemble(self, raw: State) -> dict[str, Tensor]:
        if "lod" in raw and float(raw["lod"]) != 0:
            raise CheckpointError(
                f"its progressive training stopped {float(raw['lod']):.2g} levels below the full size"
            )
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
