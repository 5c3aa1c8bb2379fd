"""A generator's picture of few pixels, from the maps of an early layer: what an encoder's losses look at."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images, Latents
from backends.generators import Generator
from backends.inverters._space import Space
from backends.losses import resize

TONES = 64  # largest components of W, of each later layer, that the colours are told from
PLACES = 300  # of each picture, that the head is fitted to
ROUNDS = 5
RIDGE, TONE_RIDGE = 1e-3, 0.1  # of the least squares, relative to the mean square of their inputs


class Shortcut(nn.Module):
    """Picture = affine of the maps after `layer` + one colour for all places, linear in the later layers.

    One head for all latents, unlike `LinearHead`, which has one for each latent; so it costs nothing to have.
    What descends on it learns its faults: fitted to pairs alone, the squared error at an encoder's own
    latents (faces, maps of 64 x 64 places) rose from 0.007 to 0.019, most of it in the mean colours; so it is
    fitted again to these latents now and then, after which it was 0.005.
    With `layer` the generator's last one the picture is the generator's own.
    """

    def __init__(self, generator: Generator, space: Space, layer: int, side: int) -> None:
        super().__init__()
        self.generator, self.space, self.layer = generator, space, layer
        self.exact = layer == generator.layers - 1
        channels = 0 if self.exact else generator.cut(generator.mean(), layer).maps.shape[1]
        self.side = side
        self.weight: Tensor
        self.bias: Tensor
        self.tones: Tensor
        self.register_buffer("weight", torch.zeros(channels, 12))
        self.register_buffer("bias", torch.zeros(12))
        later = (generator.layers - 1 - layer) * min(TONES, generator.dim)
        self.register_buffer("tones", torch.zeros(later, 3))

    def forward(self, latents: Latents, coordinates: Float[Tensor, "n layers dim"]) -> Images:
        """Pictures of at most `side` pixels a side, differentiable; `coordinates` are the latents' own."""
        if self.exact:
            return self._small(self.generator.synthesize(latents))
        maps = self.generator.cut(latents, self.layer).maps.permute(0, 2, 3, 1).float()
        tone = self._later(coordinates) @ self.tones
        bands = maps @ self.weight + (self.bias + tone.repeat_interleave(4, 1))[:, None, None]
        return self._small(F.pixel_shuffle(bands.permute(0, 3, 1, 2), 2))

    @torch.no_grad()
    def fit(
        self, latents: Latents, pictures: Float[Tensor, "n 3 _ _"], weights: Float[Tensor, " n"] | None = None
    ) -> None:
        """Weighted least squares on true pictures, head and colours by turns."""
        if self.exact:
            return
        numbers = torch.Generator().manual_seed(0)
        rows = [self._rows(w[None], x[None], numbers) for w, x in zip(latents, pictures, strict=True)]
        inputs, wanted = (torch.stack(part) for part in zip(*rows, strict=True))  # (n, places, ...)
        later = self._later(self.space.coordinates(latents))
        weights = torch.ones(len(later)) if weights is None else weights
        squares, projection = _normal(inputs.flatten(0, 1), weights.repeat_interleave(inputs.shape[1]), RIDGE)
        tone_squares, tone_projection = _normal(later, weights, TONE_RIDGE)
        tones = torch.zeros(len(later), 3)
        for _ in range(ROUNDS):
            rest = wanted - tones.repeat_interleave(4, 1)[:, None]
            head = torch.linalg.solve(squares, projection @ rest.flatten(0, 1))
            left = (wanted - inputs @ head).unflatten(2, (3, 4)).mean((1, 3))
            self.tones.copy_(torch.linalg.solve(tone_squares, tone_projection @ left))
            tones = later @ self.tones
        self.weight.copy_(head[:-1])
        self.bias.copy_(head[-1])

    def _rows(
        self, latent: Latents, picture: Images, numbers: torch.Generator
    ) -> tuple[Float[Tensor, "places inputs"], Float[Tensor, "places 12"]]:
        """Inputs and outputs of the head at some places of one picture."""
        maps = self.generator.cut(latent, self.layer).maps.float()
        wanted = F.pixel_unshuffle(resize(picture, 2 * maps.shape[-1]), 2)[0].flatten(1).T
        chosen = torch.randperm(len(wanted), generator=numbers)[:PLACES]
        inputs = maps[0].flatten(1).T[chosen]
        return torch.cat([inputs, torch.ones(len(inputs), 1)], 1), wanted[chosen]

    def _later(self, coordinates: Float[Tensor, "n layers dim"]) -> Float[Tensor, "n inputs"]:
        """What the layers behind the cut say of colours."""
        return coordinates[:, self.layer + 1 :, :TONES].flatten(1)

    def _small(self, pictures: Images) -> Float[Tensor, "n 3 _ _"]:
        return resize(pictures, min(self.side, pictures.shape[-1]))


def _normal(
    inputs: Float[Tensor, "rows inputs"], weights: Float[Tensor, " rows"], ridge: float
) -> tuple[Float[Tensor, "inputs inputs"], Float[Tensor, "inputs rows"]]:
    """Both matrices of weighted least squares, x = first^-1 second y; `ridge` is relative to the first."""
    projection = inputs.T * weights
    squares = projection @ inputs
    return squares + ridge * squares.diagonal().mean() * torch.eye(len(squares)), projection
