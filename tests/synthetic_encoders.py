"""Encoder checkpoints with exactly the keys and shapes of the public files, at any width."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]
FULL = (64, 64, 128, 256, 512)  # channels of the stem and the stages of IR-SE50


def norm(name: str, channels: int) -> Shapes:
    keys = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{key}": (channels,) for key in keys} | {f"{name}.num_batches_tracked": ()}


def halvings(rows: int) -> list[int]:
    """Of the heads of e4e and pSp: three read the map of 16 pixels, four that of 32, the rest that of 64."""
    return [4 if i < 3 else 5 if i < 7 else 6 for i in range(rows)]


def pyramid(
    heads: Sequence[int], widths: Sequence[int] = FULL, reduction: int = 16, dim: int = 512, channels: int = 3
) -> Shapes:
    """Encoder4Editing and GradualStyleEncoder; with four halvings everywhere ReStyle's backbone encoders."""
    shapes: Shapes = {
        "input_layer.0.weight": (widths[0], channels, 3, 3),
        "input_layer.2.weight": (widths[0],),
    }
    shapes |= norm("input_layer.1", widths[0])
    number, inputs = 0, widths[0]
    for width, count in zip(widths[1:], (3, 4, 14, 3), strict=True):
        for _ in range(count):
            name, hidden = f"body.{number}", width // reduction
            if inputs != width:
                shapes[f"{name}.shortcut_layer.0.weight"] = (width, inputs, 1, 1)
                shapes |= norm(f"{name}.shortcut_layer.1", width)
            shapes |= norm(f"{name}.res_layer.0", inputs) | norm(f"{name}.res_layer.4", width)
            shapes[f"{name}.res_layer.1.weight"] = (width, inputs, 3, 3)
            shapes[f"{name}.res_layer.2.weight"] = (width,)
            shapes[f"{name}.res_layer.3.weight"] = (width, width, 3, 3)
            shapes[f"{name}.res_layer.5.fc1.weight"] = (hidden, width, 1, 1)
            shapes[f"{name}.res_layer.5.fc2.weight"] = (width, hidden, 1, 1)
            number, inputs = number + 1, width
    for i, count in enumerate(heads):
        for j in range(count):
            shapes[f"styles.{i}.convs.{2 * j}.weight"] = (dim, dim if j else inputs, 3, 3)
            shapes[f"styles.{i}.convs.{2 * j}.bias"] = (dim,)
        shapes |= {f"styles.{i}.linear.weight": (dim, dim), f"styles.{i}.linear.bias": (dim,)}
    if max(heads) > 4:
        for name, width in (("latlayer1", widths[3]), ("latlayer2", widths[2])):
            shapes |= {f"{name}.weight": (inputs, width, 1, 1), f"{name}.bias": (inputs,)}
    return shapes


def single(widths: Sequence[int] = FULL, reduction: int = 16, dim: int = 512) -> Shapes:
    """SingleStyleCodeEncoder: the trunk, and one dense layer."""
    shapes = {k: v for k, v in pyramid([0], widths, reduction, dim).items() if not k.startswith("styles")}
    return shapes | {"linear.weight": (dim, widths[-1]), "linear.bias": (dim,)}


def idinvert(widths: Sequence[int] = (64, 128, 256, 512, 1024, 1024, 1024), dim: int = 512) -> Shapes:
    """styleganinv_*_encoder.pth: `widths` behind each block but the last."""
    shapes: Shapes = {"block0.conv.weight": (widths[0], 3, 3, 3)} | norm("block0.bn.bn", widths[0])
    for i, (inputs, width) in enumerate(pairwise(widths), start=1):
        hidden = min(inputs, width)
        if inputs != width:
            shapes |= {f"block{i}.conv.weight": (width, inputs, 1, 1)} | norm(f"block{i}.bn.bn", width)
        for j, (a, b) in enumerate([(inputs, hidden), (hidden, width)], start=1):
            shapes |= {f"block{i}.conv{j}.weight": (b, a, 3, 3), f"block{i}.wscale{j}.bias": (b,)}
            shapes |= norm(f"block{i}.bn{j}.bn", b)
    last, outputs = len(widths), 2 * len(widths) * dim
    shapes[f"block{last}.fc.weight"] = (outputs, 16 * widths[-1])
    return shapes | norm(f"block{last}.bn.bn", outputs)


def image_to_latent(stem: int = 64, middle: int = 256, dim: int = 512) -> Shapes:
    """image_to_latent.pt: ResNet-50 without its last two layers, a 1x1 convolution, two dense layers."""
    shapes: Shapes = {"resnet.0.weight": (stem, 3, 7, 7)} | norm("resnet.1", stem)
    inputs = stem
    for stage, units in enumerate((3, 4, 6, 3)):
        hidden, width = stem << stage, 4 * stem << stage
        for unit in range(units):
            name = f"resnet.{stage + 4}.{unit}"
            for j, (a, b, side) in enumerate(
                [(inputs, hidden, 1), (hidden, hidden, 3), (hidden, width, 1)], 1
            ):
                shapes |= {f"{name}.conv{j}.weight": (b, a, side, side)} | norm(f"{name}.bn{j}", b)
            if unit == 0:
                shapes[f"{name}.downsample.0.weight"] = (width, inputs, 1, 1)
                shapes |= norm(f"{name}.downsample.1", width)
            inputs = width
    shapes |= {"conv2d.weight": (middle, inputs, 1, 1), "conv2d.bias": (middle,)}
    shapes |= {"dense1.weight": (middle, 64 * middle), "dense1.bias": (middle,)}
    return shapes | {"dense2.weight": (18 * dim, middle), "dense2.bias": (18 * dim,)}


def filled(shapes: Shapes, seed: int = 0) -> dict[str, Tensor]:
    """Random weights with which signals neither vanish nor explode, and normalisations that do something."""
    source = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in shapes.items():
        values = torch.randn(shape, generator=source)
        if key.endswith("num_batches_tracked"):
            values = torch.tensor(1)
        elif key.endswith("running_var") or (len(shape) == 1 and key.endswith("weight")):
            values = 0.5 + torch.rand(shape, generator=source)
        elif len(shape) == 1:
            values = 0.3 * values
        elif ("linear" not in key and "block" not in key) or len(
            shape
        ) == 4:  # else: an equalised learning rate
            # tame residual units: where they double the signal, 24 of them magnify every rounding error
            gain = 0.2 if "res_layer" in key else 1.5
            values = values * (gain / values[0].numel()) ** 0.5
        state[key] = values
    return state
