"""What networks of public files share: StyleGAN's mapping, and sizes that are told from weights."""

from itertools import count, takewhile
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SLOPE = 0.2  # of the leaky ReLU
EPSILON = 1e-8


class Mapping(nn.Sequential):
    """f: Z -> W (StyleGAN, section 2), any depth; the output is one w, or one per layer (IDInvert)."""

    @classmethod
    def shaped(cls, state: dict[str, Tensor]) -> "Mapping":
        """The network whose weights are `mapping.0.weight`, `mapping.1.weight`, ..."""
        shapes = [state[key].shape for key in series(state, "mapping.{}.weight")]
        return cls(*(nn.Linear(inputs, outputs) for outputs, inputs in shapes))

    def forward(self, z: Float[Tensor, "n z_dim"]) -> Float[Tensor, "n w_dim"]:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + EPSILON)
        for layer in self:
            x = F.leaky_relu(layer(x), SLOPE)
        return x


class Shaped(nn.Module):
    """A network that is built from a state dict: its sizes are those of the tensors."""

    @classmethod
    def load(cls, state: dict[str, Tensor]) -> Any:
        """The network with these weights, for inference; they are used, not copied.

        Raises KeyError, IndexError or RuntimeError when they are not those of such a network.
        """
        with torch.device("meta"):  # no numbers are drawn
            network = cls(state)
        network.load_state_dict(state, assign=True)
        return network.requires_grad_(False).eval()


def series(state: dict[str, Tensor], pattern: str, start: int = 0, step: int = 1) -> list[str]:
    """The keys `pattern` with `start`, `start` + `step`, ... in it, as far as the state has them."""
    return list(takewhile(state.__contains__, map(pattern.format, count(start, step))))
