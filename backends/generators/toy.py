"""A generator without weights: coloured waves that a latent moves. For tests, and to try the page quickly."""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Cut, Images, Latents, device
from backends.generators._network import NetworkGenerator


class Waves(nn.Module):
    """Feature maps are the sum of the waves so far, one a layer and colour; the picture is their tanh."""

    def __init__(self, affines: Float[Tensor, "layers 9 dim"], size: int) -> None:
        super().__init__()
        self.affines, self.size = nn.Parameter(affines, requires_grad=False), size

    def waves(self, latents: Latents, first: int, last: int) -> Images:
        """The sum of waves `first` to `last`."""
        latents = latents[:, first : last + 1]
        styles = torch.einsum("nld,lsd->nls", latents, self.affines[first : last + 1])  # (n, layers, 9)
        turn, phase, height = styles.unflatten(2, (3, 3)).unbind(2)  # each (n, layers, 3 colours)
        axis = torch.linspace(-1, 1, self.size, device=latents.device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        wave = torch.arange(first + 1, last + 2, device=latents.device).view(1, -1, 1, 1, 1)
        angle = wave * (x * torch.cos(turn[..., None, None]) + y * torch.sin(turn[..., None, None]))
        waves = height[..., None, None] * torch.sin(2 * angle + phase[..., None, None])
        return waves.sum(1) / len(self.affines) ** 0.5  # (n, 3, size, size)

    def cut(self, latents: Latents, layer: int) -> Cut:
        return Cut(layer, self.waves(latents, 0, layer))

    def advanced(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        return Cut(layer, cut.maps + self.waves(latents, cut.layer + 1, layer))

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        images = torch.tanh(cut.maps + self.waves(latents, cut.layer + 1, len(self.affines) - 1))
        return F.avg_pool2d(images, 2) if preview else images


@dataclass
class Toy(NetworkGenerator):
    """Each layer draws one wave per colour; its style vector sets frequency, phase and height."""

    size: int = 64
    layers: int = 6
    dim: int = 16
    truncation: float = 0.7
    seed: int = 0  # of the fixed random weights

    @property
    def _published(self) -> str:
        return f"{self.size:04x}{self.layers:04x}{self.dim:04x}{self.seed:04x}".ljust(64, "0")

    @cached_property
    def _network(self) -> Waves:
        source = torch.Generator().manual_seed(self.seed)
        affines = torch.randn(self.layers, 9, self.dim, generator=source) / self.dim**0.5
        return Waves(affines, self.size).to(device())

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        w = 2 * torch.tanh(z) + 0.1  # bounded and off-centre, as a trained W is
        return w[:, None].repeat(1, self.layers, 1)

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return torch.full((1, self.layers, self.dim), 0.1, device=device())

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        images = self.synthesize(latents)
        return F.avg_pool2d(images, 2) if preview else images
