"""The 40 attributes of CelebA (Liu et al., ICCV 2015), from linear heads on frozen ImageNet features."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors import safe_open
from torch import Tensor

from backends import Images, device, weights
from backends.losses import resize
from backends.networks import efficientnet_lite
from backends.networks.efficientnet_lite import Size
from config import ConfigError
from evaluation.scorers import Scorer

SIDE = 112  # pixels of the crop that the network sees
STAGES = {2: 4, 4: 4, 6: 2}  # stage of the network -> cells a side that its maps are averaged in
# CelebA's frame in an FFHQ-aligned picture, fractions of the side: the inverse of the mean FFHQ frame of 145
# CelebA photographs (centre (0.501, 0.371), side 1.336, in sides of the photograph; standard deviations
# 0.014, 0.011, 0.056)
LEFT, TOP, WIDTH = 0.125, 0.2223, 0.7486
TENSORS = ("mean", "deviation", "weight", "bias")  # of features; of heads


@dataclass
class Attributes(Scorer):
    """Log-odds of each attribute. Two sets of weights exist: one to fit directions to, one to judge them."""

    weights: str = "faces_scorer"  # an entry of backends/weights.yaml or a .safetensors file
    only: str = ""  # the wanted attributes, "smiling, eyeglasses"; empty = all

    @cached_property
    def _heads(self) -> tuple[str, list[str], dict[str, Tensor]]:
        """The feature network's size, the attributes, and the tensors of `training/attributes.py`."""
        file = weights.own(self.weights) or weights.path(self.weights)
        with safe_open(file, "pt", device=str(device())) as content:
            notes = json.loads(content.metadata()["attributes"])
            tensors = {key: content.get_tensor(key).float() for key in TENSORS}
        return notes["network"], notes["names"], tensors

    @property
    def names(self) -> list[str]:
        known = self._heads[1]
        wanted = [name.strip() for name in self.only.split(",") if name.strip()]
        if unknown := [name for name in wanted if name not in known]:
            raise ConfigError(f"only: no attribute is called {unknown[0]!r}; there are: {', '.join(known)}")
        return wanted or known

    def content(self) -> str:
        return weights.fingerprint(self.weights)

    @torch.no_grad()
    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        network, known, tensors = self._heads
        seen = features(celeba_frame(images), network)  # type: ignore[arg-type]
        logits = (seen - tensors["mean"]) / tensors["deviation"] @ tensors["weight"].T + tensors["bias"]
        return logits[:, [known.index(name) for name in self.names]]


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
