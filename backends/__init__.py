"""What every backend shares: what flows between stages, and the device."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Images = Float[Tensor, "n 3 size size"]  # sRGB in [-1, 1]
Latents = Float[Tensor, "n layers dim"]  # one style vector per generator layer (W+); 1 layer for a Z-only GAN


@dataclass(frozen=True)
class Cut:
    """A generator stopped right after W+ layer `layer`: what the rest needs besides the latents."""

    layer: int
    maps: Float[Tensor, "n channels side side"]  # feature maps
    skip: Float[Tensor, "n 3 pixels pixels"] | None = None  # the picture so far, where layers add to one


class Backend:
    """What aligners, generators and inverters have in common."""

    def required(self) -> list[str]:
        """Entries of `weights.yaml` that the first use reads, and fetches if the cache lacks them."""
        return []


def device() -> torch.device:
    """Where networks run: the first CUDA device if there is one, otherwise the processor."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
