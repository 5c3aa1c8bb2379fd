"""Judges of identity: whether a picture still shows the same person, or a subject of the same looks.

An inverter that was optimised or trained through a judge's own network is flattered by it (`knows`).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, losses, weights
from backends.inverters import Inverter
from backends.networks import mobileface
from evaluation import metrics

# Where the frame of 112 pixels in which such networks see faces (ArcFace's: eyes at 51.6 from above, mouth at
# 92.3) lies in FFHQ's frame of the same face, in sides of that: it is 3.6 times from eyes to mouth, and its
# centre a tenth of it below the eyes.
CHIP_LEFT, CHIP_TOP, CHIP_SIDE = 0.118, 0.120, 0.7645

log = logging.getLogger(__name__)

Descriptors = Float[Tensor, "n features"]
Distance = Float[Tensor, " n"]


def euclidean(a: Descriptors, b: Descriptors) -> Distance:
    """Length of the difference."""
    return (a - b).norm(dim=1)


def angular(a: Descriptors, b: Descriptors) -> Distance:
    """1 - cosine: 0 for the same direction, 1 for nothing in common, at most 2."""
    return 1 - F.cosine_similarity(a, b)


@dataclass(frozen=True)
class Judge:
    """Describes pictures of the domain's framing, in [-1, 1], at best of 256 pixels."""

    describe: Callable[[Images], Descriptors]
    distance: Callable[[Descriptors, Descriptors], Distance]
    required: str  # entry of weights.yaml

    def knows(self, inverter: Inverter) -> bool:
        """Whether the inverter looks through the judge's network, which then flatters it."""
        return self.required in inverter.required()

    @torch.no_grad()
    def between(self, a: Images, b: Images) -> float:
        """Distance of two single pictures."""
        return float(self.distance(self.describe(a), self.describe(b)))


def mobile(images: Images) -> Descriptors:
    """MobileFace's descriptors of FFHQ-aligned pictures."""
    size = images.shape[-1]
    left, top, width = (round(size * share) for share in (CHIP_LEFT, CHIP_TOP, CHIP_SIDE))
    chips = images[:, :, top : top + width, left : left + width]
    return mobileface.load()(losses.resize(chips, mobileface.SIDE))


FACES = {
    "dlib": Judge(lambda images: losses.descriptors(images), euclidean, "face_identity"),
    "MobileFace": Judge(mobile, angular, "face_judge"),
}
OTHERS = {"Lite2": Judge(metrics.features, angular, "efficientnet_lite2")}


def of(subject: str) -> dict[str, Judge]:
    """The judges of a domain by name, for what its photographs show; those whose weights can be had."""
    found = {}
    for name, judge in (FACES if subject == "face" else OTHERS).items():
        try:
            weights.prepare(judge.required)
        except weights.WeightsError as error:
            log.warning("%s does not judge identity: %s", name, error)
        else:
            found[name] = judge
    return found
