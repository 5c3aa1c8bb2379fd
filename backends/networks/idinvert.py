"""IDInvert's encoder: pictures of 256 pixels to W+ (Zhu et al., ECCV 2020, "In-Domain GAN Inversion").

Parameters have the names of the public files. A residual block whose width does not change has no
convolution in its short cut, and none of the files says more about itself than its shapes do.
"""

import math
from collections import OrderedDict
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents
from backends.networks.mapping import SLOPE, Shaped, series


def norm(channels: int) -> nn.Module:
    """Batch normalisation, one level deeper than usual in the names."""
    return nn.Sequential(OrderedDict(bn=nn.BatchNorm2d(channels)))


class Bias(nn.Module):
    """The bias of a convolution as a layer of its own; the scales of its public counterpart cancel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.empty(channels))

    def forward(self, x: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n channels h w"]:
        return x + self.bias[:, None, None]


class Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        hidden = min(inputs, outputs)
        if inputs != outputs:
            self.conv, self.bn = nn.Conv2d(inputs, outputs, 1, bias=False), norm(outputs)
        self.conv1, self.wscale1 = nn.Conv2d(inputs, hidden, 3, 1, 1, bias=False), Bias(hidden)
        self.conv2, self.wscale2 = nn.Conv2d(hidden, outputs, 3, 1, 1, bias=False), Bias(outputs)
        self.bn1, self.bn2 = norm(hidden), norm(outputs)
        self.projected = inputs != outputs

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h w"]:
        y = F.leaky_relu(self.bn(self.conv(x)), SLOPE) if self.projected else x
        x = F.leaky_relu(self.bn1(self.wscale1(self.conv1(x))), SLOPE)
        return F.leaky_relu(self.bn2(self.wscale2(self.conv2(x))), SLOPE) + y


class Last(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc, self.bn = nn.Linear(inputs, outputs, bias=False), norm(outputs)

    def forward(self, x: Float[Tensor, "n channels h w"]) -> Float[Tensor, "n outputs"]:
        # equalised learning rate, in this layer only
        y = self.fc(x.flatten(1)) / math.sqrt(self.fc.in_features)
        return self.bn(y[:, :, None, None]).flatten(1)


class IDInvertEncoder(Shaped):
    """Blocks 0 ... N - 1 for pictures of 2^N pixels; the last one gives 2 (N - 1) layers."""

    channels = 3

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        widths = [len(state["block0.conv.weight"])]
        widths += [len(state[key]) for key in series(state, "block{}.conv2.weight", start=1)]
        self.last = len(widths)
        self.layers, self.dim = 2 * self.last, len(state[f"block{self.last}.fc.weight"]) // (2 * self.last)
        conv = nn.Conv2d(self.channels, widths[0], 3, 1, 1, bias=False)
        parts = OrderedDict(conv=conv, bn=norm(widths[0]), activation=nn.LeakyReLU(SLOPE))
        self.block0 = nn.Sequential(parts)
        for i, (inputs, outputs) in enumerate(pairwise(widths), start=1):
            self.add_module(f"block{i}", Residual(inputs, outputs))
        self.add_module(f"block{self.last}", Last(16 * widths[-1], self.layers * self.dim))

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Latents:
        """W+ of pictures in [-1, 1]."""
        x = self.block0(x)
        for i in range(1, self.last):
            x = self.get_submodule(f"block{i}")(F.avg_pool2d(x, 2))
        return self.get_submodule(f"block{self.last}")(x).unflatten(1, (self.layers, self.dim))
