"""Encoders into W+ on an IR-SE50 trunk: e4e (Tov et al., SIGGRAPH 2021), pSp (Richardson et al., CVPR 2021)
and ReStyle (Alaluf et al., ICCV 2021).

Parameters have the names of the public files, so that these load strictly. What differs between the encoders
is told from the weights: heads with four, five or six halvings read the maps of 16, 32 or 64 pixels (ReStyle
has only the first), and ReStyle's input has six channels, the photograph and the current reconstruction. That
e4e's heads add to the first one's vector, while pSp's are independent, is not: `deltas` says it.
"""

import math
from collections import OrderedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents
from backends.networks.mapping import Shaped, series

UNITS = (3, 4, 14, 3)  # residual units of each stage; the first of a stage halves the picture
TAPS = {64: 6, 32: 20, 16: 23}  # side of a map, for an input of 256 -> the unit that it leaves
SIZE = 256  # side of the input
SLOPE = 0.01  # of the heads' leaky ReLU


class Gate(nn.Module):
    """Squeeze and excitation (Hu et al., CVPR 2018): a factor for each channel from the means of all."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1, bias=False)
        self.fc2 = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        return x * torch.sigmoid(self.fc2(F.relu(self.fc1(x.mean((2, 3), keepdim=True)))))


class Unit(nn.Module):
    """A residual unit of ArcFace's improved ResNet: it normalises before the first convolution, not after."""

    def __init__(self, inputs: int, outputs: int, hidden: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        # Where the width stays, the short cut only drops pixels; the public modules spell that as a pooling.
        self.shortcut_layer = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if inputs != outputs
            else nn.MaxPool2d(1, stride)
        )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inputs),
            nn.Conv2d(inputs, outputs, 3, 1, 1, bias=False),
            nn.PReLU(outputs),
            nn.Conv2d(outputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            Gate(outputs, hidden),
        )

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        return self.res_layer(x) + self.shortcut_layer(x)


class Equalized(nn.Linear):
    """Equalised learning rate: the stored weights are scaled when they are used."""

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        return F.linear(x, self.weight / math.sqrt(self.in_features), self.bias)


def head(inputs: int, dim: int, halvings: int) -> nn.Module:
    """map2style: a map, halved until one pixel is left, to one style vector."""
    layers: list[nn.Module] = []
    for i in range(halvings):
        layers += [nn.Conv2d(dim if i else inputs, dim, 3, 2, 1), nn.LeakyReLU(SLOPE)]
    convs = nn.Sequential(*layers, nn.Flatten())
    return nn.Sequential(OrderedDict(convs=convs, linear=Equalized(dim, dim)))


class Trunk(Shaped):
    """The IR-SE50, of any widths."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        stem = state["input_layer.0.weight"]
        firsts = [sum(UNITS[:stage]) for stage in range(4)]  # first unit of each stage
        self.channels = stem.shape[1]
        self.widths = [len(stem), *(len(state[f"body.{i}.res_layer.1.weight"]) for i in firsts)]
        hidden = [len(state[f"body.{i}.res_layer.5.fc1.weight"]) for i in firsts]
        self.input_layer = nn.Sequential(
            nn.Conv2d(self.channels, len(stem), 3, 1, 1, bias=False),
            nn.BatchNorm2d(len(stem)),
            nn.PReLU(len(stem)),
        )
        units: list[nn.Module] = []
        for stage, count in enumerate(UNITS):
            inputs, outputs = self.widths[stage : stage + 2]
            for i in range(count):
                units.append(Unit(outputs if i else inputs, outputs, hidden[stage], 1 if i else 2))
        self.body = nn.Sequential(*units)


class PyramidEncoder(Trunk):
    """Trunk, feature pyramid, one head per layer."""

    deltas = True  # whether heads add to the first one's vector: e4e, not pSp

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self.dim = len(state["styles.0.linear.weight"])
        self.layers = len(series(state, "styles.{}.linear.weight"))
        halvings = [len(series(state, f"styles.{i}.convs.{{}}.weight", step=2)) for i in range(self.layers)]
        self.sides = [1 << count for count in halvings]  # of the map that each head reads
        self.styles = nn.ModuleList(head(self.widths[4], self.dim, count) for count in halvings)
        if max(self.sides) > 16:
            self.latlayer1 = nn.Conv2d(self.widths[3], self.widths[4], 1)
            self.latlayer2 = nn.Conv2d(self.widths[2], self.widths[4], 1)

    def forward(self, x: Float[Tensor, "n channels 256 256"]) -> Latents:
        """W+ (or what has to be added to the average of W) of pictures in [-1, 1]."""
        x, maps = self.input_layer(x), {}
        for i, unit in enumerate(self.body):
            x = unit(x)
            maps |= {side: x for side, last in TAPS.items() if i == last}
        if max(self.sides) > 16:
            maps[32] = _enlarged(maps[16], like=maps[32]) + self.latlayer1(maps[32])
            maps[64] = _enlarged(maps[32], like=maps[64]) + self.latlayer2(maps[64])
        heads = zip(self.styles, self.sides, strict=True)
        w = torch.stack([head(maps[side]) for head, side in heads], 1)
        # e4e's first head gives w for all layers, the others add to theirs
        return torch.cat([w[:, :1], w[:, :1] + w[:, 1:]], 1) if self.deltas else w


def _enlarged(x: Float[Tensor, "n channels _ _"], like: Tensor) -> Float[Tensor, "n channels _ _"]:
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=True)


class SingleStyleEncoder(Trunk):
    """pSp's SingleStyleCodeEncoder: the trunk, its last map averaged, one w for all layers (`layers` = 1)."""

    layers = 1

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__(state)
        self.dim, inputs = state["linear.weight"].shape
        self.linear = Equalized(inputs, self.dim)

    def forward(self, x: Float[Tensor, "n channels 256 256"]) -> Latents:
        """W+ of one layer (or what has to be added to the average of W) of pictures in [-1, 1]."""
        return self.linear(self.body(self.input_layer(x)).mean((2, 3)))[:, None]
