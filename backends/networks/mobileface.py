"""MobileFace (becauseofAI, 2018): a very small face recognition network, half a million numbers.

256 numbers per face chip; the cosine of two says whether they show the same person. No loss may look through
it, so that it can judge.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images, device, weights

SIDE = 112  # pixels of a face chip
CHANNELS = (32, 32, 64, 128)  # of the stages, each of which halves the resolution


class Convolution(nn.Module):
    """3x3 with a border of zeros, without bias, and PReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, 3, 3))
        self.slope = nn.Parameter(torch.empty(outputs))
        self.stride, self.groups = stride, groups

    def forward(self, x: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n outputs _ _"]:
        return F.prelu(F.conv2d(x, self.weight, None, self.stride, 1, 1, self.groups), self.slope)


class Stage(nn.Module):
    """More channels, half the side, then two depthwise convolutions beside a skip."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.mix = nn.Parameter(torch.empty(outputs, inputs, 1, 1))
        self.halve = Convolution(outputs, outputs, 2, outputs)
        self.first = Convolution(outputs, outputs, 1, outputs)
        self.second = Convolution(outputs, outputs, 1, outputs)

    def forward(self, x: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n outputs _ _"]:
        x = self.halve(F.conv2d(x, self.mix))
        return x + self.second(self.first(x))


class MobileFace(nn.Module):
    """The published network (identification, version 1), its batch norms folded in."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, CHANNELS[0], 2)
        inputs = (CHANNELS[0], *CHANNELS[:-1])
        self.stages = nn.Sequential(*map(Stage, inputs, CHANNELS))
        self.embedding = nn.Linear(4 * 4 * CHANNELS[-1], 256)
        self.requires_grad_(False)

    def forward(self, chips: Images) -> Float[Tensor, "n 256"]:
        """Descriptors of face chips of 112 x 112 pixels, sRGB in [-1, 1]."""
        return self.embedding(self.stages(self.stem(chips * (127.5 / 128))).flatten(1))


@lru_cache(maxsize=1)
def load() -> MobileFace:
    """The network with its published weights, shared by everyone in this process; frozen.

    Raises backends.weights.WeightsError when they are neither cached nor reachable.
    """
    network = MobileFace()
    network.load_state_dict(weights.state("face_judge"))
    return network.to(device()).eval()
