"""Loss terms of adversarial training: pure functions of what the networks return, named, unweighted."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images

Logits = list[Float[Tensor, "n places"]]  # one tensor a scale
THUMBNAIL = 16  # side of the pictures whose colours are compared, pixels


def discriminator_terms(real: Logits, fake: Logits) -> dict[str, Tensor]:
    """Hinge loss (Lim & Ye 2017): photographs above 1, samples below -1."""
    return {"real": _mean([F.relu(1 - x) for x in real]), "fake": _mean([F.relu(1 + x) for x in fake])}


def generator_terms(fake: Logits) -> dict[str, Tensor]:
    """What the hinge loss leaves to the generator: a high logit."""
    return {"adversarial": -_mean(fake)}


def _mean(scales: list[Tensor]) -> Tensor:
    return torch.stack([x.mean() for x in scales]).mean()


def reconstruction_terms(
    maps: list[Tensor], targets: list[Tensor], images: Images, photographs: Images
) -> dict[str, Tensor]:
    """Distances between photographs and what was drawn of them.

    `maps` and `targets` are feature maps of about unit scale, row i of one belonging to row i of the other.
    """
    features = torch.stack([F.l1_loss(a, b) for a, b in zip(maps, targets, strict=True)]).mean()
    thumbnail = F.mse_loss(thumbnails(images), thumbnails(photographs))
    return {"features": features, "thumbnail": thumbnail, "pixels": F.mse_loss(images, photographs)}


def thumbnails(images: Images) -> Float[Tensor, "n 3 16 16"]:
    """Box-filtered pictures of 16 x 16 pixels: colours, background and where the subject is."""
    return F.adaptive_avg_pool2d(images, THUMBNAIL)
