"""The linear encoder: principal components of small pictures -> the first entries of z.

Generators made by `training/gan.py` learn to reconstruct each photograph from the z that this encoder gives
it (`training/_pca_encoder.py` says where its numbers come from).
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images

SIDE = 32  # of the pictures whose components are taken, pixels
MOST = 256  # components


class LinearEncoder(nn.Module):
    """z given a photograph; entries that it says nothing about have mean 0 and standard deviation 1."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.middle: Tensor
        self.basis: Tensor
        self.deviation: Tensor
        self.register_buffer("middle", torch.zeros(3 * SIDE**2))
        self.register_buffer("basis", torch.zeros(MOST, 3 * SIDE**2))  # photograph -> mean of z
        self.register_buffer("deviation", torch.ones(dim))  # of z, given the photograph

    def forward(self, photographs: Images) -> tuple[Float[Tensor, "n dim"], Float[Tensor, " dim"]]:
        """Mean and standard deviation of z."""
        mean = (small(photographs) - self.middle) @ self.basis.T
        return F.pad(mean, (0, len(self.deviation) - mean.shape[1])), self.deviation

    def draw(
        self, photographs: Images, numbers: torch.Generator, count: int = 1
    ) -> Float[Tensor, "drawn dim"]:
        """`count` times one z for each photograph; their mean would be shorter than any z of training."""
        mean, deviation = self(photographs)
        noise = torch.randn(count, *mean.shape, generator=numbers).to(mean)
        return (mean + deviation * noise).flatten(0, 1)


def small(photographs: Images) -> Float[Tensor, "n pixels"]:
    """Box-filtered pictures as rows."""
    return F.adaptive_avg_pool2d(photographs, SIDE).flatten(1)


def from_state(state: Mapping[str, Tensor]) -> LinearEncoder:
    """The encoder with these weights, in float32. Raises KeyError or RuntimeError when they are others."""
    encoder = LinearEncoder(len(state["deviation"]))
    basis = state["basis"].float()  # files leave out the components that tell nothing
    encoder.basis = F.pad(basis, (0, 0, 0, MOST - len(basis)))
    encoder.load_state_dict({name: value.float() for name, value in state.items()} | {"basis": encoder.basis})
    return encoder.eval()
