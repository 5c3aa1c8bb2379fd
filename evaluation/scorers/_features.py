"""Frozen features of faces, from which linear heads read attributes."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.losses import resize
from backends.networks import efficientnet_lite
from backends.networks.efficientnet_lite import Size

SIDE = 112  # pixels of the crop that the network sees
STAGES = {2: 4, 4: 4, 6: 2}  # stage of the network -> cells a side that its maps are averaged in
# CelebA's frame in an FFHQ-aligned picture, fractions of the side: the inverse of the mean FFHQ frame of 145
# CelebA photographs (centre (0.501, 0.371), side 1.336, in sides of the photograph; standard deviations
# 0.014, 0.011, 0.056)
LEFT, TOP, WIDTH = 0.125, 0.2223, 0.7486


def celeba_frame(images: Images) -> Float[Tensor, "n 3 frame frame"]:
    """The part of FFHQ-aligned pictures that a CelebA photograph shows."""
    size = images.shape[-1]
    left, top, width = round(LEFT * size), round(TOP * size), round(WIDTH * size)
    return images[:, :, top : top + width, left : left + width]


@torch.no_grad()
def features(images: Images, network: Size) -> Float[Tensor, "n features"]:
    """Averages of three stages over a grid of cells, so that a beard and a fringe stay apart."""
    small = resize(images, SIDE).contiguous(memory_format=torch.channels_last)
    maps = efficientnet_lite.load(network).features(small, list(STAGES))
    cells = [F.adaptive_avg_pool2d(x, grid).flatten(1) for x, grid in zip(maps, STAGES.values(), strict=True)]
    return torch.cat(cells, dim=1)
