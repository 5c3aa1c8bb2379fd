"""Loss terms of adversarial training: pure functions of what the networks return, by name, unweighted."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, losses

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
    """Distances between photographs and their reconstructions.

    `maps` and `targets` are the discriminator's feature maps, of about unit scale, in the same order. The
    thumbnail tells colours, background and where the subject is.
    """
    pair = [images.float(), photographs]  # half precision is too coarse for squares of small differences
    small = [F.adaptive_avg_pool2d(x, THUMBNAIL) for x in pair]
    return {
        "perceptual": torch.stack([F.l1_loss(a, b) for a, b in zip(maps, targets, strict=True)]).mean(),
        "thumbnail": losses.pixel(*small).mean(),
        "pixel": losses.pixel(*pair).mean(),
    }
