"""What of feature maps is compared to find places again: a few numbers of each instead of all channels."""

from dataclasses import dataclass
from types import ModuleType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import kernels

FEATURES = 64  # numbers that are compared of a place


@dataclass(frozen=True)
class Comparison:
    """What of maps is compared: standardised channels, by FEATURES linear combinations of them.

    Half are the principal components of the unedited maps. The others are random and orthogonal to these,
    so that cosines keep the values that they have for all channels (Johnson & Lindenstrauss, 1984).
    """

    matrix: Float[Tensor, "features channels"]
    shift: Float[Tensor, "features 1 1"]

    @staticmethod
    def of(before: Float[Tensor, "1 channels side side"]) -> "Comparison":
        channels = before[0].flatten(1)
        mean, deviation = channels.mean(1, keepdim=True), channels.std(1, keepdim=True) + 1e-6
        matrix = _combinations((channels - mean) / deviation) / deviation.T
        return Comparison(matrix, -(matrix @ mean)[:, None])

    def features(self, read: Float[Tensor, "n features side side"]) -> Float[Tensor, "n features side side"]:
        """Of unit length, from what `matrix` reads in maps."""
        if fast := compiled(read):
            return fast.unit(read, self.shift)
        return F.normalize(read + self.shift, dim=1)


def _combinations(x: Float[Tensor, "channels places"]) -> Float[Tensor, "features channels"]:
    channels, kept = len(x), FEATURES // 2
    if channels <= FEATURES:
        return torch.eye(channels).to(x)
    main = torch.linalg.eigh(x @ x.T)[1][:, -kept:]
    others = torch.randn(channels, kept, generator=torch.Generator().manual_seed(0)).to(x)
    others = torch.linalg.qr(others - main @ (main.T @ others))[0]
    return torch.cat([main, others * ((channels - kept) / kept) ** 0.5], 1).T


def compiled(*inputs: Tensor) -> ModuleType | None:
    """The compiled loops, if they take these inputs: single pictures, without gradients."""
    if torch.is_grad_enabled() or any(len(x) > 1 or x.device.type != "cpu" for x in inputs):
        return None
    return kernels.compiled("transport")
