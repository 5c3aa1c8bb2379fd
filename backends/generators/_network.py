"""What generators share whose weights are one torch module."""

import hashlib
from abc import abstractmethod
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Cut, Images, Latents, device, weights
from backends.generators import Generator
from backends.networks.kept import Kept

MAPPING = "mapping."  # begins the names of the weights that turn z into w


class NetworkGenerator(Generator):
    """Plugins load `_network`, with its `mapping` (z to w, or to one for each layer), `mean` and `affines`.

    `_plain` has `cut(latents, layer)`, `advanced(cut, latents, layer)` and `resume(cut, latents, preview)`;
    `_fast` has the first and the last, where there is a faster way to compute them.
    """

    _origin = ""  # of a tunable copy: hash of the weights that it began with

    @property
    @abstractmethod
    def _network(self) -> Any:
        """The module, loaded once; its pictures are differentiable in latents, maps and weights."""

    @property
    @abstractmethod
    def _published(self) -> str:
        """SHA-256 (hex) of the weights as they were published."""

    @property
    def _plain(self) -> Any:
        """The part of the network that has `cut` and `resume`."""
        return self._network

    @property
    def _fast(self) -> Any:
        """The same without gradients."""
        return self._plain

    @property
    def fingerprint(self) -> str:
        """Of a tunable copy it is computed from the weights; all others are frozen."""
        if not self._origin or self._hash() == self._origin:
            return self._published
        return self._hash()

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        w = self._network.mapping(z.to(device())).unflatten(1, (-1, self.dim))
        return w.expand(-1, self.layers, -1).clone()

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return self._network.mean.expand(self.layers, -1)[None].clone()

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        return [matrix.detach() for matrix in self._network.affines]

    def synthesize(self, latents: Latents) -> Images:
        return self._plain.resume(self._plain.cut(latents, 0), latents)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        return self._fast.resume(self._fast.cut(latents, 0), latents, preview)

    def cut(self, latents: Latents, layer: int) -> Cut:
        self._check_layer(layer)
        return (self._plain if torch.is_grad_enabled() else self._fast).cut(latents, layer)

    def advance(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        self._check_layer(layer)
        if layer < cut.layer:
            raise IndexError(f"layer {layer} lies before the cut, which is after layer {cut.layer}")
        return cut if layer == cut.layer else self._plain.advanced(cut, latents, layer)

    def _check_layer(self, layer: int) -> None:
        if not 0 <= layer < self.layers:
            raise IndexError(f"there is no layer {layer}: this generator has 0 to {self.layers - 1}")

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        return (self._plain if torch.is_grad_enabled() else self._fast).resume(cut, latents, preview)

    def parameters(self) -> dict[str, Tensor]:
        named = self._network.named_parameters()
        return {name: value for name, value in named if not name.startswith(MAPPING)}

    def tunable(self) -> Generator:
        origin = self._origin or self._hash()  # which loads the network: the copy begins with the same
        copy = deepcopy(self)
        copy._origin = origin
        for value in copy.parameters().values():
            value.requires_grad_(True)
        return copy

    @cached_property
    def _hashed(self) -> Kept:
        return Kept()

    def _hash(self) -> str:
        """SHA-256 (hex) of the parameters."""
        parameters = self.parameters()

        def make() -> str:
            digest = hashlib.sha256()
            for name, value in sorted(parameters.items()):
                digest.update(f"{name} {tuple(value.shape)}\n".encode())
                digest.update(value.detach().cpu().contiguous().numpy().tobytes())
            return digest.hexdigest()

        return self._hashed.get(parameters.values(), make)


@dataclass
class PublishedGenerator(NetworkGenerator):
    """A generator whose weights are in a file, and load on first use."""

    weights: str  # entry of backends/weights.yaml, or the path of a file
    truncation: float = 0.7

    def required(self) -> list[str]:
        return [] if weights.own(self.weights) else [self.weights]

    @cached_property
    def _published(self) -> str:
        return weights.fingerprint(self.weights)


class StyleGAN(PublishedGenerator):
    """Reads checkpoints in any public format, and takes its sizes from them."""

    @property
    def size(self) -> int:
        return self._network.size

    @property
    def layers(self) -> int:
        return self._network.layers

    @property
    def dim(self) -> int:
        return self._network.dim

    @property
    def z_dim(self) -> int:
        return self._network.mapping[0].in_features
