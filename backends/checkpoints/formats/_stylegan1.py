"""What all StyleGAN1 formats have in common: raw weights in, the state of `networks.stylegan1` out.

Raw weights are those of `_stylegan2.py`, but `convs.{j}.scale` is the noise strength of each channel, the
style is factor minus one, then offset, `convs.0` has no weight, and `rgb` is the one colour layer in use.
"""

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.formats import Format, State
from backends.checkpoints.formats._stylegan2 import GAIN, LEARNING_RATE, dense, expect, mapping, mean
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series


class StyleGAN1Format(Format):
    """A format says what its raw weights are."""

    family = "StyleGAN1"
    plugin = "generators/stylegan1"
    assumed = (
        "equalised learning rates (use_wscale), mapping learning rate 0.01, upsampling fused from 128 pixels "
        "on, a tanh at the end if the mapping makes one w per layer (IDInvert), none otherwise"
    )

    @abstractmethod
    def raw(self, state: State) -> State:
        """The raw weights. Raises CheckpointError for what cannot be right."""

    def facts(self, state: State) -> dict[str, Any]:
        raw = self.raw(state)
        styles = series(raw, "convs.{}.style.weight")
        dim, outputs = raw[styles[0]].shape[1], raw[series(raw, "mapping.{}.weight")[-1]].shape[0]
        note = "one w per layer (IDInvert)" if outputs > dim else ""
        return {"size": 2 << (len(styles) // 2), "layers": len(styles), "dim": dim, "note": note}

    def translate(self, state: State) -> dict[str, Tensor]:
        return assemble(self.raw(state))


def assemble(raw: State) -> dict[str, Tensor]:
    """The canonical state: gains and learning rates go into the weights. Raises CheckpointError."""
    styles = series(raw, "convs.{}.style.weight")
    check(raw, len(styles))
    constant, dim = raw["constant"], raw[styles[0]].shape[1]
    # Here the gain scales the weights but not the biases; StyleGAN2 has it behind the activation.
    state = {"constant": constant.reshape(constant.shape[-3:])} | mapping(raw, LEARNING_RATE)
    for j in range(len(styles)):
        name = f"convs.{j}"
        if j:
            weight = raw[f"{name}.weight"]
            state[f"{name}.weight"] = weight * (GAIN / math.sqrt(weight[0].numel()))
        state |= {f"{name}.{key}": raw[f"{name}.{key}"] for key in ("bias", "scale")}
        state[f"{name}.noise"] = raw[f"{name}.noise"].reshape(raw[f"{name}.noise"].shape[-2:])
        channels = len(raw[f"{name}.bias"])
        one = torch.cat([torch.ones(channels), torch.zeros(channels)])  # factors are stored minus one
        state |= dense(raw, f"{name}.style", 1.0)
        state[f"{name}.style.bias"] = state[f"{name}.style.bias"] + one
    state |= {"rgb.weight": raw["rgb.weight"].flatten(1) / math.sqrt(raw["rgb.weight"].shape[1])}
    state |= {"rgb.bias": raw["rgb.bias"]} | mean(state, raw, len(styles))
    # One w per layer is IDInvert's, whose pictures go through a tanh; nothing in the file says so.
    outputs = raw[series(raw, "mapping.{}.weight")[-1]].shape[0]
    return state | {"bounded": torch.tensor(outputs != dim)}


def check(raw: State, layers: int) -> None:
    """Raises CheckpointError unless the parts fit each other."""
    if layers < 4 or layers % 2 or layers > 20 or not {"constant", "rgb.weight", "rgb.bias"} <= raw.keys():
        raise CheckpointError(
            f"{layers} layers with a style are no StyleGAN1, or its constant or colours are missing"
        )
    dim = raw["convs.0.style.weight"].shape[1]
    widths = [raw["constant"].shape[-3], *(len(raw[f"convs.{j}.bias"]) for j in range(layers))]
    for j, (inputs, outputs) in enumerate(pairwise(widths)):
        side = 4 << j // 2
        if j:
            expect(raw, f"convs.{j}.weight", f"the weight of layer {j}", (outputs, inputs, 3, 3))
        expect(raw, f"convs.{j}.scale", f"the noise scale of layer {j}", (outputs,))
        expect(raw, f"convs.{j}.noise", f"the noise of layer {j}", (1, 1, side, side))
        expect(raw, f"convs.{j}.style.weight", f"the style of layer {j}", (2 * outputs, dim))
        expect(raw, f"convs.{j}.style.bias", f"the style bias of layer {j}", (2 * outputs,))
    expect(raw, "rgb.weight", "the colour layer", (3, widths[-1]))
    if "lod" in raw and float(raw["lod"]) != 0:
        raise CheckpointError(
            f"its progressive training stopped {float(raw['lod']):.2g} levels below the full size"
        )
    outputs = [raw[key].shape[0] for key in series(raw, "mapping.{}.weight")][-1:]
    if outputs and outputs[0] not in (dim, dim * layers):
        raise CheckpointError(f"the mapping ends in {outputs[0]} numbers, the styles read {dim}")
