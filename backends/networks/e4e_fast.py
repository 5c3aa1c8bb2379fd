"""The encoders of `e4e.py` as fast as a processor computes them: the same numbers, but for rounding.

- Batch normalisation goes into the weights of its neighbours. That of a unit's input cannot go there wholly:
  its constant must not reach into the zero padding, so the outermost pixels get a correction of their own.
- Heads that read the same map share their first convolution. Later ones have few pixels and very many
  weights, so they are products of matrices: these read each weight once, where a convolution re-orders all of
  them (a gigabyte) before every use. Weights that would only ever meet the zero padding are left out.
- Where it pays (the long third stage) convolutions are Winograd's.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportOperatorIssue=false
# pyright: reportOptionalOperand=false
# pyright: reportOptionalSubscript=false

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents
from backends.networks import e4e, winograd

SLOPE = 0.01  # of the heads' leaky ReLU


def affine(norm: nn.BatchNorm2d) -> tuple[Float[Tensor, " channels"], Float[Tensor, " channels"]]:
    """Factor and constant that a batch normalisation amounts to in inference."""
    factor = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return factor, norm.bias - norm.running_mean * factor


class Convolution:
    """A 3x3 convolution of maps of `side` x `side`, in the faster of two ways."""

    def __init__(
        self,
        weight: Float[Tensor, "outputs inputs 3 3"],
        bias: Float[Tensor, " outputs"],
        stride: int,
        side: int,
    ) -> None:
        self.bias, self.stride = bias, stride
        self.winograd = stride == 1 and winograd.pays(weight, side)
        self.weight = winograd.transform(weight) if self.winograd else _packed(weight)

    def __call__(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        if not self.winograd:
            return F.conv2d(x, self.weight, self.bias, self.stride, 1)
        y = torch.cat([winograd.convolve(one[None], self.weight) for one in x])
        return y.add_(self.bias[:, None, None])


class FastUnit(nn.Module):
    """`e4e.Unit` without its normalisations, for maps of `side` x `side`."""

    def __init__(self, unit: e4e.Unit, side: int) -> None:
        super().__init__()
        before, conv1, prelu, conv2, after, gate = unit.res_layer
        self.stride = unit.stride
        factor, constant = affine(before)
        scaled = conv1.weight * factor[None, :, None, None]
        # what the constant of the normalisation contributes: by the pixel's place, as the padding has none
        places = F.conv2d(constant[None, :, None, None].expand(1, -1, 3, 3), conv1.weight, padding=1)
        self.conv1 = Convolution(scaled, places[0, :, 1, 1].contiguous(), 1, side)
        self.edge = places - places[:, :, 1:2, 1:2]  # (1, channels, 3, 3)
        self.slope = prelu.weight
        factor, constant = affine(after)
        self.conv2 = Convolution(conv2.weight * factor[:, None, None, None], constant, unit.stride, side)
        self.squeeze, self.excite = gate.fc1.weight.flatten(1), gate.fc2.weight.flatten(1)
        self.projection = None
        if isinstance(unit.shortcut_layer, nn.Sequential):
            conv, norm = unit.shortcut_layer
            factor, self.projection_bias = affine(norm)
            self.projection = _packed(conv.weight * factor[:, None, None, None])

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        y = self.conv1(x)
        edge = self.edge
        y[:, :, 0] += _along(edge[:, :, 0], y.shape[3])
        y[:, :, -1] += _along(edge[:, :, 2], y.shape[3])
        y[:, :, 1:-1, 0] += edge[:, :, 1, 0, None]
        y[:, :, 1:-1, -1] += edge[:, :, 1, 2, None]
        y = self.conv2(F.prelu(y, self.slope))
        gate = F.linear(F.relu(F.linear(y.mean((2, 3)), self.squeeze)), self.excite).sigmoid()
        if self.projection is not None:
            shortcut = F.conv2d(x, self.projection, self.projection_bias, self.stride)
        else:
            shortcut = x[:, :, :: self.stride, :: self.stride]
        return torch.addcmul(shortcut, y, gate[:, :, None, None])


class FastHeads(nn.Module):
    """All heads that read the same map."""

    def __init__(self, heads: list[e4e.Head]) -> None:
        super().__init__()
        convs = [[layer for layer in head.convs if isinstance(layer, nn.Conv2d)] for head in heads]
        first = [layers[0] for layers in convs]
        self.first = _packed(torch.cat([conv.weight for conv in first]))
        self.first_bias = torch.cat([conv.bias for conv in first])
        later = [[layers[i] for layers in convs] for i in range(1, len(convs[0]))]
        self.weights, self.biases = [], []
        for i, layers in enumerate(later):
            # the last one sees two by two pixels: all but four of its taps lie in the padding
            taps = slice(1, 3) if i == len(later) - 1 else slice(0, 3)
            self.weights.append([conv.weight[:, :, taps, taps].flatten(1) for conv in layers])
            self.biases.append([conv.bias[:, None] for conv in layers])
        self.linear = torch.stack([head.linear.weight / head.linear.in_features**0.5 for head in heads])
        self.linear_bias = torch.stack([head.linear.bias for head in heads])

    def forward(self, x: Float[Tensor, "n channels side side"]) -> Float[Tensor, "n heads dim"]:
        y = F.leaky_relu_(F.conv2d(x, self.first, self.first_bias, 2, 1), SLOPE)
        heads = len(self.linear)
        maps = list(y.contiguous().unflatten(1, (heads, -1)).unbind(1))
        for weights, biases in zip(self.weights, self.biases, strict=True):
            side = maps[0].shape[-1] // 2
            for i, part in enumerate(maps):
                columns = part.flatten(1)[:, :, None] if side == 1 else F.unfold(part, 3, padding=1, stride=2)
                out = torch.matmul(weights[i], columns).add_(biases[i])
                maps[i] = F.leaky_relu_(out, SLOPE).unflatten(2, (side, side))
        vectors = torch.stack([part.flatten(1) for part in maps], 1)  # (n, heads, dim)
        return torch.einsum("hoi,nhi->nho", self.linear, vectors) + self.linear_bias


class FastEncoder(nn.Module):
    """`e4e.PyramidEncoder`, for inference."""

    @torch.no_grad()
    def __init__(self, encoder: e4e.PyramidEncoder) -> None:
        super().__init__()
        self.deltas, self.channels, self.rows, self.dim = (
            encoder.deltas, encoder.channels, encoder.rows, encoder.dim,
        )  # fmt: skip
        conv, norm, prelu = encoder.input_layer
        factor, self.stem_bias = affine(norm)
        self.stem, self.slope = _packed(conv.weight * factor[:, None, None, None]), prelu.weight
        side, units = e4e.SIZE, []
        for unit in encoder.body:
            units.append(FastUnit(unit, side))
            side //= unit.stride
        self.body = nn.ModuleList(units)
        self.groups = {
            side: [i for i, own in enumerate(encoder.sides) if own == side]
            for side in sorted(set(encoder.sides))
        }
        self.heads = nn.ModuleDict(
            {str(side): FastHeads([encoder.styles[i] for i in rows]) for side, rows in self.groups.items()}
        )
        self.laterals = {32: encoder.latlayer1, 64: encoder.latlayer2} if max(encoder.sides) > 16 else {}

    @torch.no_grad()
    def forward(self, x: Float[Tensor, "n channels 256 256"]) -> Latents:
        x = F.prelu(F.conv2d(_packed(x), self.stem, self.stem_bias, padding=1), self.slope)
        maps = {}
        for i, unit in enumerate(self.body):
            x = unit(x)
            maps |= {side: x for side, last in e4e.TAPS.items() if i == last}
        for side, lateral in self.laterals.items():
            maps[side] = e4e.upsampled(maps[side // 2], maps[side].shape[-1]) + lateral(maps[side])
        rows: list[Tensor] = [x] * self.rows  # each is replaced
        for side, numbers in self.groups.items():
            for number, row in zip(numbers, self.heads[str(side)](maps[side]).unbind(1), strict=True):
                rows[number] = row
        return e4e.combined(torch.stack(rows, 1), self.deltas)


def _packed(x: Tensor) -> Tensor:
    """Channels last: what vector instructions want, for pictures as for kernels."""
    return x.contiguous(memory_format=torch.channels_last)


def _along(corners: Float[Tensor, "1 channels 3"], side: int) -> Float[Tensor, "1 channels side"]:
    """An edge of the picture, of the values of its two ends and its middle."""
    return torch.cat([corners[:, :, :1], corners[:, :, 1:2].expand(-1, -1, side - 2), corners[:, :, 2:]], 2)
