"""What all StyleGAN2 layouts have in common: raw weights in, the state of `networks.stylegan2` out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.checkpoints.objects import CheckpointError

LEARNING_RATE = (
    0.01  # of the mapping, relative; stored nowhere but in NVIDIA's options, the same in all public files
)
GAIN = math.sqrt(2)


@dataclass
class Dense:
    """A fully connected layer with its raw (equalised learning rate) weights."""

    weight: Tensor  # (outputs, inputs)
    bias: Tensor


@dataclass
class Styled:
    """A modulated convolution; `style.bias` includes the one that some layouts add at run time."""

    weight: Tensor  # (outputs, inputs, side, side); of upsampling layers for conv_transpose2d
    bias: Tensor
    style: Dense
    strength: Tensor | None = None
    noise: Tensor | None = None


def facts(levels: Sequence[object], dim: int) -> dict[str, Any]:
    return {"size": 2 << len(levels), "rows": 2 * len(levels), "dim": dim}


def assemble(
    mapping: list[Dense], mean: Tensor | None, constant: Tensor, convs: list[Styled], rgbs: list[Styled]
) -> dict[str, Tensor]:
    """The canonical state: gains and learning rates go into the weights. Raises CheckpointError."""
    _check(mapping, constant, convs, rgbs)
    state = {"constant": constant.reshape(constant.shape[-3:]).float()}
    for i, layer in enumerate(mapping):
        state |= dense(
            f"mapping.{i}",
            layer,
            GAIN * LEARNING_RATE / math.sqrt(layer.weight.shape[1]),
            GAIN * LEARNING_RATE,
        )
    for j, conv in enumerate(convs):
        state |= _styled(f"convs.{j}", conv)
        state[f"convs.{j}.strength"] = conv.strength.float().reshape(())  # pyright: ignore[reportOptionalMemberAccess]
        state[f"convs.{j}.noise"] = conv.noise.float().reshape(conv.noise.shape[-2:])  # pyright: ignore[reportOptionalMemberAccess]
    for k, rgb in enumerate(rgbs):
        state |= _styled(f"rgbs.{k}", rgb)
        state[f"rgbs.{k}.weight"] = state[f"rgbs.{k}.weight"][:, :, 0, 0]
    state["mean"] = centre(state) if mean is None else mean.float().reshape(-1, mean.shape[-1])
    return state


def dense(name: str, layer: Dense, gain: float, bias_gain: float = 1.0) -> dict[str, Tensor]:
    bias = layer.bias.float()
    return {
        f"{name}.weight": layer.weight.float() * gain,
        f"{name}.bias": bias * bias_gain if bias_gain != 1 else bias,
    }


def _styled(name: str, conv: Styled) -> dict[str, Tensor]:
    weight = conv.weight.float()
    state = {
        f"{name}.weight": weight / math.sqrt(weight[0].numel()),
        f"{name}.bias": conv.bias.float().reshape(-1),
    }
    return state | dense(f"{name}.style", conv.style, 1 / math.sqrt(conv.style.weight.shape[1]))


@torch.no_grad()
def centre(state: dict[str, Tensor], samples: int = 10_000) -> Tensor:
    """The mean of W, estimated: training checkpoints of rosinality's code have none."""
    layers = [(state[f"mapping.{i}.weight"], state[f"mapping.{i}.bias"]) for i in range(_depth(state))]
    x = torch.randn(samples, layers[0][0].shape[1], generator=torch.Generator().manual_seed(0))
    x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
    for weight, bias in layers:
        x = F.leaky_relu(F.linear(x, weight, bias), 0.2)
    return x.mean(0, keepdim=True)


def _depth(state: dict[str, Tensor]) -> int:
    return sum(key.startswith("mapping.") and key.endswith(".weight") for key in state)


def _check(mapping: list[Dense], constant: Tensor, convs: list[Styled], rgbs: list[Styled]) -> None:
    """Whether the parts fit each other, so that a damaged file is refused here."""
    levels = len(rgbs)
    if not mapping or not 2 <= levels <= 11 or len(convs) != 2 * levels - 1:
        raise CheckpointError(
            f"{len(mapping)} mapping layers, {len(convs)} convolutions and {levels} colour layers are no "
            "StyleGAN2 with skip connections (config-e or -f)"
        )
    dim = convs[0].style.weight.shape[1]
    widths = [constant.shape[-3], *(conv.weight.shape[0] for conv in convs)]
    for j, (inputs, outputs) in enumerate(pairwise(widths)):
        conv, side = convs[j], 4 << (j + 1) // 2
        if conv.noise is None or conv.strength is None:
            raise CheckpointError(
                f"convolution {j} has no noise: networks trained without it are not supported"
            )
        _expect(f"convolution {j}", conv.weight, (outputs, inputs, 3, 3))
        _expect(f"the bias of convolution {j}", conv.bias, (outputs,))
        _expect(f"the style of convolution {j}", conv.style.weight, (inputs, dim))
        _expect(f"the style bias of convolution {j}", conv.style.bias, (inputs,))
        _expect(f"the noise of convolution {j}", conv.noise, (side, side))
    for k, rgb in enumerate(rgbs):
        _expect(f"colour layer {k}", rgb.weight, (3, widths[2 * k + 1], 1, 1))
        _expect(f"the style of colour layer {k}", rgb.style.weight, (widths[2 * k + 1], dim))
    shapes = [layer.weight.shape for layer in mapping]
    if any(a[0] != b[1] for a, b in pairwise(shapes)) or shapes[-1][0] != dim:
        raise CheckpointError(f"the mapping ends in {shapes[-1][0]} numbers, the styles read {dim}")


def _expect(what: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(n for n in tensor.shape if n != 1) != tuple(n for n in shape if n != 1):
        raise CheckpointError(f"{what} has shape {tuple(tensor.shape)}; {shape} was expected")
