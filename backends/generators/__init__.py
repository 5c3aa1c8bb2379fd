"""Generator: seeds -> latents -> images. The contract; every other module of this folder is one generator."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Backend, Cut, Images, Latents, device

__all__ = ["Cut", "Generator"]


class Generator(Backend, ABC):
    """Fields of a concrete generator are its YAML settings; weights load on first use, never before."""

    size: int  # side of the square output, pixels
    layers: int  # style vectors per image (layers of W+)
    dim: int  # length of one style vector; also of z unless z_dim says otherwise
    truncation: float  # psi of sampled latents: 0 = always the mean, 1 = the full distribution

    @property
    def z_dim(self) -> int:
        """Length of the normal vector that the mapping reads."""
        return self.dim

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """SHA-256 (hex) of the weights: tells whether a stored latent was made for this very generator."""

    @abstractmethod
    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        """Latents of standard normal `z`, not truncated (StyleGAN's f: Z -> W, broadcast to every layer)."""

    @abstractmethod
    def synthesize(self, latents: Latents) -> Images:
        """Full-size pictures, differentiable in `latents`."""

    @property
    def cut_layer(self) -> int:
        """A good layer to stop at: cheap to reach, and the picture is nearly linear in its feature maps.

        The last layer, unless the generator is slow enough for a short cut to pay.
        """
        return self.layers - 1

    @abstractmethod
    def cut(self, latents: Latents, layer: int) -> Cut:
        """The feature maps right after what `layer` of the latents sets; later layers do not matter.

        Differentiable with gradients on; under `torch.no_grad()` on the fast path. Only the network up to
        there is computed. Raises IndexError if there is no such layer.
        """

    @abstractmethod
    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        """The picture, from where `cut` stopped: resume(cut(w, k), w) == synthesize(w) for every layer k.

        Of the latents only the layers behind the cut are read; `cut.maps` may be others than `cut` returned.
        Differentiable in both and, under `torch.no_grad()`, fast, like `cut`. `preview` as in `render`.
        """

    @abstractmethod
    def advance(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        """`cut`, moved on to a later `layer`: advance(cut(w, k), w, m) == cut(w, m) for k <= m.

        Differentiable in both. Raises IndexError if there is no such layer, or if it lies before the cut.
        """

    def read(
        self, latents: Latents, layer: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "n outputs side side"]:
        """`matrix` times the feature maps after `layer`. Raises IndexError if there is no such layer.

        Without gradients a generator may do so where its maps lie, without making `Cut.maps` of them.
        """
        return torch.einsum("nchw,oc->nohw", self.cut(latents, layer).maps, matrix)

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        """The feature maps alone, for direction sources that look inside a generator."""
        return self.cut(latents, layer).maps

    @abstractmethod
    def parameters(self) -> dict[str, Tensor]:
        """The trainable tensors by name: those that make pictures of latents.

        The mapping network is not among them, so that latents mean the same to all tuned copies.
        """

    @abstractmethod
    def tunable(self) -> "Generator":
        """An independent copy whose `parameters()` require gradients.

        Its pictures follow its weights; the fast path sees every change but those made through `Tensor.data`.
        Its `fingerprint` is the original's as long as the weights are the same, else a hash of the weights.
        """

    @abstractmethod
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """Per latent layer, the matrix from the style vector to the channel scales it sets (without bias)."""

    @abstractmethod
    def mean(self) -> Float[Tensor, "1 layers dim"]:
        """Centre of the latent distribution: the average picture."""

    def noise(self, seeds: list[int]) -> Float[Tensor, "n z_dim"]:
        """One standard normal vector per seed, the same on every machine."""
        rows = [torch.randn(self.z_dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
        return torch.stack(rows).to(device())

    @torch.no_grad()
    def sample(self, seeds: list[int], truncation: float | None = None) -> Latents:
        """One latent per seed (the same seed always gives the same latent), pulled towards the mean.

        `truncation` is psi of the truncation trick (StyleGAN, section B); None takes the generator's own.
        """
        psi = self.truncation if truncation is None else truncation
        mean = self.mean()
        return mean + psi * (self.mapping(self.noise(seeds)) - mean)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        """Pictures for the screen, without gradients; a generator overrides it with its fast path.

        With `preview` a smaller picture of the same face will do (at most `size`, at least `size // 2`).
        """
        return self.synthesize(latents)
