"""A generator without weights: coloured waves that a latent moves. For tests, and to try the page quickly."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents, device
from backends.generators import Generator


@dataclass
class Toy(Generator):
    """Each layer draws one wave per colour; its style vector sets frequency, phase and height."""

    size: int = 64
    layers: int = 6
    dim: int = 16
    truncation: float = 0.7
    seed: int = 0  # of the fixed random weights

    @property
    def fingerprint(self) -> str:
        return f"{self.size:04x}{self.layers:04x}{self.dim:04x}{self.seed:04x}".ljust(64, "0")

    @cached_property
    def _affines(self) -> Float[Tensor, "layers 9 dim"]:
        source = torch.Generator().manual_seed(self.seed)
        return (torch.randn(self.layers, 9, self.dim, generator=source) / self.dim**0.5).to(device())

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        w = 2 * torch.tanh(z) + 0.1  # bounded and off-centre, as a trained W is
        return w[:, None].repeat(1, self.layers, 1)

    def synthesize(self, latents: Latents) -> Images:
        return torch.tanh(self.activations(latents, self.layers - 1))

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        """The sum of the waves of the first layers."""
        latents = latents[:, : layer + 1]
        styles = torch.einsum("nld,lsd->nls", latents, self._affines[: layer + 1])  # (n, layers, 9)
        turn, phase, height = styles.unflatten(2, (3, 3)).unbind(2)  # each (n, layers, 3 colours)
        axis = torch.linspace(-1, 1, self.size, device=latents.device)
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        wave = torch.arange(1, layer + 2, device=latents.device).view(1, -1, 1, 1, 1)
        angle = wave * (x * torch.cos(turn[..., None, None]) + y * torch.sin(turn[..., None, None]))
        waves = height[..., None, None] * torch.sin(2 * angle + phase[..., None, None])
        return waves.sum(1) / self.layers**0.5  # (n, 3, size, size)

    def parameters(self) -> dict[str, Tensor]:
        return {"affines": self._affines}

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        return list(self._affines)

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return torch.full((1, self.layers, self.dim), 0.1, device=device())

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        images = self.synthesize(latents)
        return torch.nn.functional.avg_pool2d(images, 2) if preview else images
