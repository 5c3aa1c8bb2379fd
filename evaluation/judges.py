"""Judges of identity: whether a picture still shows the same person, or a subject of the same looks.

An inverter that was optimised or trained through a judge's own network is flattered by it (`knows`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, losses
from backends.inverters import Inverter
from evaluation import metrics

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
    same: float  # distance below which it says that it is the same person; 0 = it does not say

    def knows(self, inverter: Inverter) -> bool:
        """Whether the inverter looks through the judge's network, which then flatters it."""
        return self.required in inverter.required()

    @torch.no_grad()
    def between(self, a: Images, b: Images) -> float:
        """Distance of two single pictures."""
        return float(self.distance(self.describe(a), self.describe(b)))


FACES = {"dlib": Judge(lambda images: losses.descriptors(images), euclidean, "face_identity", 0.6)}
OTHERS = {"Lite2": Judge(metrics.features, angular, "efficientnet_lite2", 0.0)}


def of(subject: str) -> dict[str, Judge]:
    """The judges of a domain by name, for what its photographs show."""
    return FACES if subject == "face" else OTHERS
