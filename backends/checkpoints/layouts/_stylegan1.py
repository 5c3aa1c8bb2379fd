"""What all StyleGAN1 layouts have in common: raw weights in, the state of `networks.stylegan1` out."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.layouts._stylegan2 import LEARNING_RATE, Dense, centre, dense
from backends.checkpoints.objects import CheckpointError

GAIN = math.sqrt(2)
FUSED = 128  # from this side on, upsampling is fused into a transposed convolution in every public network


@dataclass
class Layer:
    """Noise, bias and style of a layer; the first has no convolution."""

    weight: Tensor | None  # (outputs, inputs, 3, 3), for conv2d on the picture doubled by repetition
    bias: Tensor
    scale: Tensor  # of the noise, per channel
    noise: Tensor
    style: Dense  # (2 outputs, dim): factor minus one, then offset


def facts(layers: int, dim: int) -> dict[str, Any]:
    return {"size": 2 << (layers // 2), "rows": layers, "dim": dim}


def assemble(
    mapping: list[Dense],
    mean: Tensor | None,
    constant: Tensor,
    layers: list[Layer],
    rgb: Dense,
    lod: Tensor | None,
) -> dict[str, Tensor]:
    """The canonical state: gains and learning rates go into the weights. Raises CheckpointError."""
    _check(mapping, constant, layers, rgb)
    if lod is not None and float(lod) >= 0.5:
        raise CheckpointError(f"its progressive training stopped {float(lod):.1f} levels below the full size")
    state = {"constant": constant.reshape(constant.shape[-3:]).float()}
    for i, layer in enumerate(mapping):
        # Here the gain scales the weights but not the biases; StyleGAN2 has it behind the activation.
        scale = GAIN * LEARNING_RATE / math.sqrt(layer.weight.shape[1])
        state |= dense(f"mapping.{i}", layer, scale, LEARNING_RATE)
    for j, layer in enumerate(layers):
        name, channels = f"convs.{j}", len(layer.bias)
        if layer.weight is not None:
            state[f"{name}.weight"] = layer.weight.float() * (GAIN / math.sqrt(layer.weight[0].numel()))
        state |= {f"{name}.bias": layer.bias.float(), f"{name}.scale": layer.scale.float()}
        state[f"{name}.noise"] = layer.noise.float().reshape(layer.noise.shape[-2:])
        style = dense(f"{name}.style", layer.style, 1 / math.sqrt(layer.style.weight.shape[1]))
        one = torch.cat([torch.ones(channels), torch.zeros(channels)])  # factors are stored minus one
        state |= style | {f"{name}.style.bias": style[f"{name}.style.bias"] + one}
    state["rgb.weight"] = rgb.weight.float().flatten(1) / math.sqrt(rgb.weight.shape[1])
    state["rgb.bias"] = rgb.bias.float()
    dim = layers[0].style.weight.shape[1]
    state["mean"] = (centre(state) if mean is None else mean.float()).reshape(-1, dim)
    # The per-row mapping is IDInvert's, whose pictures go through a tanh; nothing in the file says so.
    state["bounded"] = torch.tensor(mapping[-1].weight.shape[0] != dim)
    return state


def _check(mapping: list[Dense], constant: Tensor, layers: list[Layer], rgb: Dense) -> None:
    """Whether the parts fit each other."""
    if not mapping or len(layers) < 4 or len(layers) % 2 or any(layer.weight is None for layer in layers[1:]):
        raise CheckpointError(f"{len(mapping)} mapping layers and {len(layers)} layers are no StyleGAN1")
    dim = layers[0].style.weight.shape[1]
    widths = [constant.shape[-3], *(len(layer.bias) for layer in layers)]
    for j, (layer, (inputs, outputs)) in enumerate(zip(layers, pairwise(widths), strict=True)):
        side = 4 << j // 2
        shapes = {
            "weight": (layer.weight, (outputs, inputs, 3, 3)),
            "noise scale": (layer.scale, (outputs,)),
            "noise": (layer.noise, (1, 1, side, side)),
            "style": (layer.style.weight, (2 * outputs, dim)),
        }
        for what, (tensor, shape) in shapes.items():
            if tensor is not None and tuple(tensor.shape) != shape:
                raise CheckpointError(
                    f"the {what} of layer {j} has shape {tuple(tensor.shape)}; {shape} was expected"
                )
    if rgb.weight.shape[:2] != (3, widths[-1]):
        raise CheckpointError(f"the colour layer has shape {tuple(rgb.weight.shape)}")
    if mapping[-1].weight.shape[0] not in (dim, dim * len(layers)):
        raise CheckpointError(
            f"the mapping ends in {mapping[-1].weight.shape[0]} numbers, the styles read {dim}"
        )
