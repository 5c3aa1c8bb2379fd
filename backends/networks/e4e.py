"""Encoders into W+ on an IR-SE50 trunk: e4e (Tov et al., SIGGRAPH 2021), pSp (Richardson et al., CVPR 2021)
and ReStyle (Alaluf et al., ICCV 2021).

Parameters have the names of the public files, so that these load strictly. What differs between the encoders
is told from the weights: heads with four, five or six halvings read the maps of 16, 32 or 64 pixels (ReStyle
has only the first), and ReStyle's input has six channels, the photograph and the current reconstruction. That
e4e's heads add to the first one's vector, while pSp's are independent, is not: `deltas` says it.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents

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


class Head(nn.Module):
    """map2style: a map, halved until one pixel is left, to one style vector."""

    def __init__(self, inputs: int, dim: int, halvings: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(halvings):
            layers += [nn.Conv2d(dim if i else inputs, dim, 3, 2, 1), nn.LeakyReLU(SLOPE)]
        self.convs = nn.Sequential(*layers)
        self.linear = Equalized(dim, dim)

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n dim"]:
        return self.linear(self.convs(x).flatten(1))


class PyramidEncoder(nn.Module):
    """Trunk, feature pyramid, one head per layer; `widths`: channels of the stem and the four stages."""

    def __init__(
        self, widths: list[int], hidden: list[int], halvings: list[int], dim: int, channels: int, deltas: bool
    ) -> None:
        super().__init__()
        self.deltas, self.channels, self.rows, self.dim = deltas, channels, len(halvings), dim
        self.sides = [1 << count for count in halvings]  # of the map that each head reads
        self.input_layer = nn.Sequential(
            nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False),
            nn.BatchNorm2d(widths[0]),
            nn.PReLU(widths[0]),
        )
        units: list[nn.Module] = []
        for stage, count in enumerate(UNITS):
            for i in range(count):
                inputs = widths[stage + 1] if i else widths[stage]
                units.append(Unit(inputs, widths[stage + 1], hidden[stage], 1 if i else 2))
        self.body = nn.Sequential(*units)
        self.styles = nn.ModuleList(Head(widths[4], dim, count) for count in halvings)
        if max(self.sides) > 16:
            self.latlayer1 = nn.Conv2d(widths[3], widths[4], 1)
            self.latlayer2 = nn.Conv2d(widths[2], widths[4], 1)

    @classmethod
    def load(cls, state: dict[str, Tensor]) -> "PyramidEncoder":
        """The encoder with these weights, sizes from their shapes, ready for inference.

        Besides the public keys `deltas` is read, if it is there (otherwise the heads are taken for e4e's).
        Raises KeyError or RuntimeError when they fit no such encoder.
        """
        state = {key: value for key, value in state.items() if key != "latent_avg"}
        deltas = bool(state.pop("deltas", True))
        rows = sum(key.startswith("styles.") and key.endswith(".linear.weight") for key in state)
        halvings = [
            sum(key.startswith(f"styles.{i}.convs.") and key.endswith(".weight") for key in state)
            for i in range(rows)
        ]
        network = cls.shaped(state, halvings, len(state["styles.0.linear.weight"]), deltas)
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()

    @classmethod
    def shaped(
        cls, state: dict[str, Tensor], halvings: list[int], dim: int, deltas: bool
    ) -> "PyramidEncoder":
        """An encoder without numbers, with the trunk that the state has. Raises KeyError."""
        stem = state["input_layer.0.weight"]
        firsts = [sum(UNITS[:stage]) for stage in range(4)]  # first unit of each stage
        widths = [len(stem), *(len(state[f"body.{i}.res_layer.1.weight"]) for i in firsts)]
        hidden = [len(state[f"body.{i}.res_layer.5.fc1.weight"]) for i in firsts]
        with torch.device("meta"):  # the numbers come from the file: none are drawn, none copied
            return cls(widths, hidden, halvings, dim, stem.shape[1], deltas)

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


class SingleStyleEncoder(nn.Module):
    """pSp's SingleStyleCodeEncoder: the trunk, its last map averaged, one w for all layers (`rows` = 1)."""

    rows = 1

    def __init__(self, pyramid: PyramidEncoder, inputs: int) -> None:
        """`pyramid`: whose trunk is taken, which ends in `inputs` channels."""
        super().__init__()
        self.channels, self.dim = pyramid.channels, pyramid.dim
        self.input_layer, self.body = pyramid.input_layer, pyramid.body
        self.linear = Equalized(inputs, pyramid.dim)

    @classmethod
    def load(cls, state: dict[str, Tensor]) -> "SingleStyleEncoder":
        """The encoder with these weights; the rest as in `PyramidEncoder.load`."""
        state = {key: value for key, value in state.items() if key not in ("latent_avg", "deltas")}
        dim, inputs = state["linear.weight"].shape
        with torch.device("meta"):
            network = cls(PyramidEncoder.shaped(state, [0], dim, False), inputs)
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()

    def forward(self, x: Float[Tensor, "n channels 256 256"]) -> Latents:
        """W+ of one layer (or what has to be added to the average of W) of pictures in [-1, 1]."""
        return self.linear(self.body(self.input_layer(x)).mean((2, 3)))[:, None]
