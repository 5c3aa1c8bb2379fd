"""dlib's face recognition ResNet (King, 2017; after He et al., CVPR 2016) as a differentiable torch module.

128 numbers per face chip; two chips show the same person when their distance is below about 0.6.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images, device, weights

SIDE = 150  # pixels of a face chip
SAME_PERSON = 0.6  # Euclidean distance of two descriptors; 99.4 % right on LFW according to its author
MEANS = (122.782, 117.001, 104.298)  # RGB, subtracted from 0...255 before dividing by 256
BLOCKS = (  # channels, halves the resolution
    *[(32, False)] * 3,
    *[(64, True), *[(64, False)] * 3],
    *[(128, True), *[(128, False)] * 2],
    *[(256, True), *[(256, False)] * 2],
    (256, True),
)


class Block(nn.Module):
    """Two 3x3 convolutions beside a skip that is average-pooled, never projected."""

    def __init__(self, inputs: int, outputs: int, halve: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride=2 if halve else 1, padding=0 if halve else 1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.halve = halve

    def forward(self, x: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n outputs _ _"]:
        out = self.second(F.relu(self.first(x)))
        skip = F.avg_pool2d(x, 2) if self.halve else x
        return F.relu(self._padded(out, skip) + self._padded(skip, out))

    @staticmethod
    def _padded(x: Tensor, other: Tensor) -> Tensor:
        """`x` with zeros appended up to the larger of both shapes, as dlib adds unequal tensors."""
        missing = [max(b - a, 0) for a, b in zip(x.shape[1:], other.shape[1:], strict=True)]
        return F.pad(x, (0, missing[2], 0, missing[1], 0, missing[0])) if any(missing) else x


class FaceResNet(nn.Module):
    """29 convolutions; the affine layers that replace batch norm after training are folded into them."""

    means: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 7, stride=2)
        widths = [32, *(channels for channels, _ in BLOCKS)]
        self.blocks = nn.Sequential(
            *(Block(inputs, outputs, halve) for inputs, (outputs, halve) in zip(widths, BLOCKS, strict=False))
        )
        self.embedding = nn.Linear(256, 128, bias=False)
        self.register_buffer("means", torch.tensor(MEANS).view(3, 1, 1), persistent=False)
        self.requires_grad_(False)

    def forward(self, chips: Images) -> Float[Tensor, "n 128"]:
        """Descriptors of face chips of 150 x 150 pixels, sRGB in [-1, 1]."""
        x = ((chips + 1) * 127.5 - self.means) / 256
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2)
        return self.embedding(self.blocks(x).mean((2, 3)))


@lru_cache(maxsize=1)
def load() -> FaceResNet:
    """The network with dlib's published weights, shared by everyone in this process; frozen.

    Raises backends.weights.WeightsError when they are neither cached nor reachable.
    """
    network = FaceResNet()
    network.load_state_dict(weights.state("face_identity"))
    return network.to(device()).eval()
