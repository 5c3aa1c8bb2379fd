"""What all StyleGAN2 formats have in common; see `_stylegan.py`.

A raw `style.bias` includes the one that some formats add at run time, weights of upsampling layers are meant
for conv_transpose2d, `convs.{j}.strength` is that of the noise, and `rgbs.{k}` are the colour layers.
"""

import math

from torch import Tensor

from backends.checkpoints.formats import State
from backends.checkpoints.formats._stylegan import GAIN, LEARNING_RATE, StyleGANFormat, dense, mapping
from backends.networks.mapping import series
from backends.networks.stylegan2 import StyleGAN2


class StyleGAN2Format(StyleGANFormat):
    family = "StyleGAN2"
    plugin = "generators/stylegan2"
    assumed = "mapping learning rate 0.01, leaky ReLU of slope 0.2, demodulation, no clamping of activations"
    network = StyleGAN2
    colours = 1

    def assemble(self, raw: State) -> dict[str, Tensor]:
        constant = raw["constant"]
        state = {"constant": constant.reshape(constant.shape[-3:])} | mapping(raw, GAIN * LEARNING_RATE)
        for key in [*series(raw, "convs.{}.weight"), *series(raw, "rgbs.{}.weight")]:
            name = key.removesuffix(".weight")
            state[key] = raw[key] / math.sqrt(raw[key][0].numel())
            state[f"{name}.bias"] = raw[f"{name}.bias"].reshape(-1)
            state |= dense(raw, f"{name}.style")
            if name.startswith("convs"):
                state[f"{name}.strength"] = raw[f"{name}.strength"].reshape(())
                state[f"{name}.noise"] = raw[f"{name}.noise"].reshape(raw[f"{name}.noise"].shape[-2:])
            else:
                state[key] = state[key][:, :, 0, 0]
        return state
