"""The image-to-latent network of pytorch_stylegan_encoder (J. Hallberg, 2019): a ResNet-50 to W+.

Parameters have the names of the public file, in which the ResNet (He et al., CVPR 2016) is a list: 0 and 1
its stem, 4 ... 7 its stages.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Latents
from backends.networks.mapping import Shaped, series

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, for pictures in [0, 1]


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1; the one in the middle halves the picture (as torchvision has it, unlike the paper)."""

    def __init__(self, inputs: int, hidden: int, outputs: int, stride: int, projected: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        self.conv2 = nn.Conv2d(hidden, hidden, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(hidden)
        self.conv3, self.bn3 = nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        self.projected = projected
        if projected:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.downsample = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h2 w2"]:
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (self.downsample(x) if self.projected else x))


class ImageToLatent(Shaped):
    channels = 3
    layers = 18  # of a 1024-pixel StyleGAN

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        width = len(state["resnet.0.weight"])
        layers: list[nn.Module] = [nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        layers.append(nn.MaxPool2d(3, 2, 1))
        for stage in range(4, 8):
            units = len(series(state, f"resnet.{stage}.{{}}.conv3.weight"))
            outputs, hidden = state[f"resnet.{stage}.0.conv3.weight"].shape[:2]
            first = Bottleneck(width, hidden, outputs, 2 if stage > 4 else 1, True)
            rest = [Bottleneck(outputs, hidden, outputs, 1, False) for _ in range(units - 1)]
            layers.append(nn.Sequential(first, *rest))
            width = outputs
        self.resnet = nn.Sequential(*layers)
        squeezed, hidden, outputs = (len(state[f"{name}.weight"]) for name in ("conv2d", "dense1", "dense2"))
        self.dim = outputs // self.layers
        self.conv2d = nn.Conv2d(width, squeezed, 1)
        self.dense1, self.dense2 = nn.Linear(64 * squeezed, hidden), nn.Linear(hidden, outputs)

    def forward(self, x: Float[Tensor, "n 3 256 256"]) -> Latents:
        """W+ of pictures in [-1, 1] (the network itself expects ImageNet's statistics)."""
        mean, deviation = (torch.tensor(values).to(x)[:, None, None] for values in (MEAN, DEVIATION))
        x = self.conv2d(self.resnet(((x + 1) / 2 - mean) / deviation))
        return self.dense2(self.dense1(x.flatten(1))).unflatten(1, (self.layers, self.dim))
