"""Trunk and heads of `e4e.py` on compiled convolutions (Winograd's): the same maps, but for rounding.

Inside, a map is ordered (row, group of channels, column, channel of the group), see `_winograd_kernels.py`.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportOperatorIssue=false
# pyright: reportOptionalOperand=false
# pyright: reportOptionalSubscript=false

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends.networks import _winograd_compiled as compiled
from backends.networks import e4e
from backends.networks._simd import WIDTH
from backends.networks._winograd_compiled import Activation, Array, Convolution, Memory, Picture, flat
from backends.networks._winograd_kernels import HALVING

Map = Float[Tensor, "side groups side width"]


def affine(norm: nn.BatchNorm2d) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Factor and constant that a batch normalisation amounts to in inference."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor


def packed(x: Tensor) -> Tensor:
    """Channels last: what vector instructions want, for pictures as for kernels."""
    return x.contiguous(memory_format=torch.channels_last)


class FastUnit:
    """`e4e.Unit` for a map of `side` x `side`.

    The normalisation in front is computed while the map gets its border of zeros, the one behind when a
    convolution's results are written.
    """

    def __init__(self, unit: e4e.Unit, side: int, memory: tuple[Memory, Memory]) -> None:
        before, conv1, prelu, conv2, after, gate = unit.res_layer
        self.side, self.stride, self.memory = side, unit.stride, memory
        self.before = [_groups(each) for each in affine(before)]
        self.conv1 = Convolution(conv1.weight)
        self.activation1 = _activation(torch.ones_like(prelu.weight), 0 * prelu.weight, prelu.weight, side)
        factor, constant = affine(after)
        self.conv2 = Convolution(conv2.weight, 1 if unit.stride == 1 else HALVING)
        self.activation2 = _activation(factor, constant, torch.ones_like(factor), side)
        self.squeeze, self.excite = gate.fc1.weight.flatten(1), gate.fc2.weight.flatten(1)
        self.projection = None
        if isinstance(unit.shortcut_layer, nn.Sequential):
            conv, norm = unit.shortcut_layer
            factor, constant = affine(norm)
            self.projection = conv.weight.flatten(1) * factor[:, None], constant

    def __call__(self, x: Map) -> Float[Tensor, "h groups2 h width"]:
        normal = Picture(self.conv1.inputs, self.side, self.memory[0])
        torch.addcmul(self.before[1], x, self.before[0], out=normal.inside)
        hidden = Picture(self.conv1.outputs, self.side, self.memory[1])
        self.conv1(normal, _ones(normal), self.activation1, hidden)
        picture = Picture(self.conv2.outputs, self.side // self.stride, self.memory[0])
        self.conv2(hidden, _ones(hidden), self.activation2, picture)
        y = picture.inside
        gate = F.linear(F.relu(F.linear(y.mean((0, 2)).flatten(), self.squeeze)), self.excite).sigmoid()
        x = x[:: self.stride, :, :: self.stride]
        if self.projection:
            pixels = F.linear(x.permute(0, 2, 1, 3).flatten(2), *self.projection)  # (h, h, channels)
            x = pixels.unflatten(2, (-1, WIDTH)).permute(0, 2, 1, 3)
        return torch.addcmul(x, y, _groups(gate))


class FastTrunk:
    """`e4e.trunk`, for inference."""

    def __init__(self, input_layer: nn.Sequential, body: nn.Sequential) -> None:
        conv, norm, self.prelu = input_layer
        factor, constant = affine(norm)
        self.stem = packed(conv.weight * factor[:, None, None, None]), constant
        memory, side = (Memory(), Memory()), e4e.SIZE
        self.units = []
        for unit in body:
            self.units.append(FastUnit(unit, side, memory))
            side //= unit.stride

    def __call__(self, x: Float[Tensor, "n channels 256 256"]) -> dict[int, Float[Tensor, "n _ _ _"]]:
        each = [self._one(picture[None]) for picture in x]
        return {side: _joined([maps[side] for maps in each]) for side in e4e.TAPS}

    def _one(self, picture: Float[Tensor, "1 channels 256 256"]) -> dict[int, Tensor]:
        x = grouped(self.prelu(F.conv2d(packed(picture), *self.stem, padding=1)))
        maps = {}
        for i, unit in enumerate(self.units):
            x = unit(x)
            maps |= {side: x for side, last in e4e.TAPS.items() if i == last}
        return {side: x.permute(0, 2, 1, 3).flatten(2).permute(2, 0, 1)[None] for side, x in maps.items()}


class FastLayers:
    """The first layers of all heads that read the same map, `side` x `side`, as long as maps are large."""

    def __init__(self, layers: list[list[nn.Conv2d]], side: int) -> None:
        """`layers`: of each depth, the convolutions of all heads."""
        self.side, self.memory = side, (Memory(), Memory())
        first, *later = layers
        self.first = Convolution(torch.cat([conv.weight for conv in first]), HALVING)
        self.first_activation = _leaky(torch.cat([conv.bias for conv in first]), side)
        self.later = [
            [(Convolution(conv.weight, HALVING), _leaky(conv.bias, side)) for conv in convs]
            for convs in later
        ]

    def __call__(self, x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n outputs h h"]:
        return _joined([self._one(each[None]) for each in x])

    def _one(self, x: Float[Tensor, "1 channels side side"]) -> Float[Tensor, "1 outputs h h"]:
        picture, side = Picture.of(x), self.side // 2
        out = Picture(self.first.outputs, side, self.memory[0])
        self.first(picture, _ones(picture), self.first_activation, out)
        for depth, layers in enumerate(self.later):
            side, picture, out = side // 2, out, Picture(out.channels, side // 2, self.memory[1 - depth % 2])
            for i, (conv, activation) in enumerate(layers):
                part = picture.part(i * conv.inputs, (i + 1) * conv.inputs)
                conv(part, _ones(part), activation, out.part(i * conv.outputs, (i + 1) * conv.outputs))
        return out.tensor()


def supports(encoder: e4e.PyramidEncoder) -> bool:
    """Whether the kernels take these numbers of channels."""
    modules = [module for part in (encoder.body, encoder.styles) for module in part.modules()]
    convs = [each for each in modules if isinstance(each, nn.Conv2d) and each.kernel_size == (3, 3)]
    return all(compiled.supports(conv.in_channels, conv.out_channels, e4e.SIZE) for conv in convs)


def grouped(x: Float[Tensor, "1 channels side side"]) -> Map:
    """A map in the order of the kernels (no copy)."""
    return x[0].unflatten(0, (-1, WIDTH)).permute(2, 0, 3, 1)


def _joined(parts: list[Tensor]) -> Tensor:
    return torch.cat(parts) if len(parts) > 1 else parts[0]  # cat would copy a single one


def _groups(values: Float[Tensor, " channels"]) -> Float[Tensor, "groups 1 width"]:
    return values.unflatten(0, (-1, 1, WIDTH))


def _ones(picture: Picture) -> Array:
    return np.ones(picture.channels, np.float32)


def _leaky(bias: Float[Tensor, " channels"], side: int) -> Activation:
    return _activation(torch.ones_like(bias), bias, torch.full_like(bias, e4e.SLOPE), side)


def _activation(gains: Tensor, bias: Tensor, slope: Tensor, side: int) -> Activation:
    return Activation(flat(gains), flat(bias), flat(slope), np.zeros(side, np.float32), 0)
