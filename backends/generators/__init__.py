"""Generator: seeds -> latents -> images. The contract; every other module of this folder is one generator."""

import copy
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Backend, Images, Latents, device
from config import ConfigError


@dataclass(frozen=True)
class Cut:
    """A network stopped right after W+ layer `layer`: what the rest of the way needs besides the latents."""

    layer: int
    maps: Float[Tensor, "n channels side side"]  # feature maps
    skip: Images | None = None  # the picture so far, where a generator adds colours at every resolution


class Generator(Backend, ABC):
    """Fields of a concrete generator are its YAML settings; weights load on first use, never before."""

    size: int  # side of the square output, pixels
    layers: int  # style vectors per image (rows of W+)
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

    def features(self, latents: Latents) -> Float[Tensor, "n channels side side"] | None:
        """Maps inside the network that cost a fraction of a picture and in which it is nearly linear.

        Differentiable. Lets an optimiser take most of its steps without the expensive last layers; None, if
        there is no such short cut.
        """
        return None

    def activations(self, latents: Latents, layer: int) -> Float[Tensor, "n channels side side"]:
        """Maps inside the network right after what row `layer` of the latents sets; later rows do not matter.

        Differentiable; only the network up to there is computed. For sources of directions that look inside a
        generator (LatentCLR, GANSpace, steerability); optional. Raises ConfigError where there are none.
        """
        raise ConfigError(f"generator {type(self).__name__} shows no maps from inside its network")

    def cut(self, latents: Latents, layer: int) -> Cut:
        raise NotImplementedError

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        raise NotImplementedError

    def parameters(self) -> dict[str, Tensor]:
        return {}

    def tunable(self) -> "Generator":
        tuned = copy.deepcopy(self)
        for parameter in tuned.parameters().values():
            parameter.requires_grad_(True)
        return tuned

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
