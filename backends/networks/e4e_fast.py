"""The encoders of `e4e.py` as fast as a processor computes them: the same numbers, but for rounding.

- Heads that read the same map share their first convolution. Later ones have few pixels and very many
  weights, so they are products of matrices: these read each weight once, where a convolution re-orders all of
  them (a gigabyte) before every use. Weights that would only ever meet the zero padding are left out.
- All large convolutions are Winograd's, see `_e4e_compiled.py`.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportOperatorIssue=false
# pyright: reportOptionalOperand=false
# pyright: reportOptionalSubscript=false

import threading
from functools import partial
from types import ModuleType
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents
from backends.networks import e4e, winograd

LARGE = 16  # side of the maps from which on a head's convolutions are the compiled ones


class FastHeads(nn.Module):
    """All heads that read the same map, `side` x `side`."""

    def __init__(self, heads: list[e4e.Head], side: int, compiled: Any) -> None:
        super().__init__()
        convs = [[layer for layer in head.convs if isinstance(layer, nn.Conv2d)] for head in heads]
        layers = [list(depth) for depth in zip(*convs, strict=True)]
        large = max(1, sum(side >> depth >= LARGE for depth in range(len(layers))))
        if compiled and side >= LARGE:
            self.first = compiled.FastLayers(layers[:large], side)
        else:
            large, self.first = 1, FirstLayers(layers[0])
        self.weights, self.biases = [], []
        for depth in range(large, len(layers)):
            # the last one sees two by two pixels: all but four of its taps lie in the padding
            taps = slice(1, 3) if depth == len(layers) - 1 else slice(0, 3)
            self.weights.append([conv.weight[:, :, taps, taps].flatten(1) for conv in layers[depth]])
            self.biases.append([conv.bias[:, None] for conv in layers[depth]])
        self.linear = torch.stack([head.linear.weight / head.linear.in_features**0.5 for head in heads])
        self.linear_bias = torch.stack([head.linear.bias for head in heads])

    def forward(self, x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n heads dim"]:
        maps = list(self.first(x).unflatten(1, (len(self.linear), -1)).contiguous().unbind(1))
        for weights, biases in zip(self.weights, self.biases, strict=True):
            side = maps[0].shape[-1] // 2
            for i, part in enumerate(maps):
                columns = part.flatten(1)[:, :, None] if side == 1 else F.unfold(part, 3, padding=1, stride=2)
                out = torch.matmul(weights[i], columns).add_(biases[i])
                maps[i] = F.leaky_relu_(out, e4e.SLOPE).unflatten(2, (side, side))
        vectors = torch.stack([part.flatten(1) for part in maps], 1)  # (n, heads, dim)
        return torch.einsum("hoi,nhi->nho", self.linear, vectors) + self.linear_bias


class FirstLayers:
    """The first layer of all heads, in torch."""

    def __init__(self, convs: list[nn.Conv2d]) -> None:
        weight = torch.cat([conv.weight for conv in convs])
        self.weight = weight.contiguous(memory_format=torch.channels_last)
        self.bias = torch.cat([conv.bias for conv in convs])

    def __call__(self, x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n outputs half half"]:
        return F.leaky_relu_(F.conv2d(x, self.weight, self.bias, 2, 1), e4e.SLOPE)


class FastEncoder(nn.Module):
    """`e4e.PyramidEncoder`, for inference."""

    @torch.no_grad()
    def __init__(self, encoder: e4e.PyramidEncoder) -> None:
        super().__init__()
        self.deltas, self.channels, self.rows, self.dim = (
            encoder.deltas, encoder.channels, encoder.rows, encoder.dim,
        )  # fmt: skip
        compiled = _compiled(encoder)
        trunk = compiled.FastTrunk if compiled else partial(partial, e4e.trunk)
        self.trunk = trunk(encoder.input_layer, encoder.body)
        self.groups = {
            side: [i for i, own in enumerate(encoder.sides) if own == side]
            for side in sorted(set(encoder.sides))
        }
        self.heads = nn.ModuleDict(
            {
                str(side): FastHeads([encoder.styles[i] for i in rows], side, compiled)
                for side, rows in self.groups.items()
            }
        )
        self.laterals = {32: encoder.latlayer1, 64: encoder.latlayer2} if max(encoder.sides) > 16 else {}
        self._lock = threading.Lock()  # the compiled convolutions use memory again

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "n channels 256 256"]) -> Latents:
        with self._lock:
            maps = self.trunk(x)
            for side, lateral in self.laterals.items():
                maps[side] = e4e.upsampled(maps[side // 2], maps[side].shape[-1]) + lateral(maps[side])
            rows: list[Tensor] = [x] * self.rows  # each is replaced
            for side, numbers in self.groups.items():
                for number, row in zip(numbers, self.heads[str(side)](maps[side]).unbind(1), strict=True):
                    rows[number] = row
        return e4e.combined(torch.stack(rows, 1), self.deltas)


def _compiled(encoder: e4e.PyramidEncoder) -> ModuleType | None:
    """The compiled parts, if this machine and the encoder's widths can have them."""
    if not winograd.compiled():
        return None
    from backends.networks import _e4e_compiled

    return _e4e_compiled if _e4e_compiled.supports(encoder) else None
