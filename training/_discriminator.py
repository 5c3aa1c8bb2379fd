"""Discriminators, and the losses of what they say, by name and unweighted.

Projected (Sauer et al., NeurIPS 2021) has small heads on ImageNet features; Pixels is the baseline.

A frozen network already knows edges, fur and eyes, so that the heads only have to learn which of them a cat
has; a discriminator that starts from pixels needs days on a CPU to get there. Both split into `maps`, which
needs no training or is the picture itself, and `logits`, so that one pass through the frozen network serves
generator and discriminator.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportCallIssue=false
# pyright: reportOperatorIssue=false

from abc import ABC, abstractmethod
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from backends import Images, losses
from backends.networks import efficientnet_lite

Maps = list[Tensor]  # per scale (n, channels, side, side), fine to coarse
Logits = list[Float[Tensor, "n places"]]  # one tensor a scale
THUMBNAIL = 16  # side of the pictures whose colours are compared, pixels
STAGES = (1, 2, 4, 6)  # of EfficientNet-Lite: sides 1/4, 1/8, 1/16, 1/32
SHARES = (1, 1, 2, 4)  # of the width, channels of each of these scales: the coarse ones have more to tell
SLOPE = 0.2
PATCHES = 8  # a side: places at which the texture of single pixels is judged
BLUR = 5  # pixels: texture is what differs from the mean of a square of this side
GAIN = 4.0  # of the logits: spectral norms alone hold them within the hinge, where they tell little


class Discriminator(nn.Module, ABC):
    """Pictures -> logits of being a photograph, by way of feature maps."""

    @abstractmethod
    def maps(self, images: Images) -> Maps:
        """Feature maps, comparable between pictures (about unit scale); differentiable in `images`."""

    @abstractmethod
    def logits(self, maps: Maps) -> Logits:
        """For each scale one logit a place. All scales count alike: the coarsest has the fewest places."""

    @torch.no_grad()
    def calibrate(self, images: Images) -> None:
        """Set constants from photographs, once before training."""


class Head(nn.Module):
    """Feature map of one scale -> logits per place. Spectral norm limits its lead over the generator."""

    def __init__(self, inputs: int, width: int, strides: tuple[int, int]) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(inputs, width, 3, strides[0], padding=1))
        self.second = spectral_norm(nn.Conv2d(width, width, 3, strides[1], padding=1))
        self.last = spectral_norm(nn.Conv2d(width, 1, 1))

    def forward(self, x: Float[Tensor, "n inputs side side"]) -> Float[Tensor, "n places"]:
        x = F.leaky_relu(self.first(x), SLOPE)
        x = F.leaky_relu(self.second(x), SLOPE)
        return self.last(x).flatten(1)


class Texture(nn.Module):
    """Single pixels -> logits per place, each of which sees 18 x 18 of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = spectral_norm(nn.Conv2d(12, width, 3, padding=1))
        self.second = spectral_norm(nn.Conv2d(width, 2 * width, 3, 2, padding=1))
        self.third = spectral_norm(nn.Conv2d(2 * width, 2 * width, 3, padding=1))
        self.last = spectral_norm(nn.Conv2d(2 * width, 1, 1))

    def forward(self, x: Float[Tensor, "n 3 side side"]) -> Float[Tensor, "n 1 rows columns"]:
        x = F.pixel_unshuffle(x, 2).contiguous(memory_format=torch.channels_last)
        for layer in (self.first, self.second, self.third):
            x = F.leaky_relu(layer(x), SLOPE)
        return self.last(x)


def _deviation(x: Float[Tensor, "n channels rows columns"]) -> Float[Tensor, "n 1 rows columns"]:
    """How much a batch varies (Karras et al., ICLR 2018): one number, as a channel, against mode collapse.

    Of the means over all places: of every place by itself it would take a fifth of a training step.
    """
    variance = x.mean((2, 3)).float().var(0, unbiased=False)
    deviation = (variance + 1e-8).sqrt().mean().to(x.dtype)
    return deviation.expand(len(x), 1, *x.shape[2:])


class Projected(Discriminator):
    """Frozen EfficientNet-Lite0, random mixing across channels and, coarse to fine, scales (section 3.2).

    Beside them one small head on the picture itself.
    """

    def __init__(self, side: int, width: int = 64) -> None:
        super().__init__()
        self.side = side  # pictures are resized to it before the feature network, pixels
        self.network = [efficientnet_lite.load("lite0")]  # in a list: frozen, neither saved nor trained
        channels = [self.network[0].channels[stage] for stage in STAGES]
        widths = [width * share for share in SHARES]
        pairs = list(zip(channels, widths, strict=True))
        self.across = nn.ModuleList(nn.Conv2d(c, w, 1, bias=False) for c, w in pairs)
        self.scales = nn.ModuleList(nn.Conv2d(w, w, 3, padding=1, bias=False) for w in widths)
        self.down = nn.ModuleList(nn.Conv2d(b, a, 1, bias=False) for a, b in pairwise(widths))
        for layer in [*self.across, *self.scales, *self.down]:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear")  # type: ignore[arg-type]
            layer.requires_grad_(False)
        self.heads = nn.ModuleList(Head(w, 2 * width, (2 if i < 2 else 1, 1)) for i, w in enumerate(widths))
        self.register_buffer("spread", torch.ones(len(STAGES)))  # root mean square of each scale's features
        # the frozen network hardly sees single pixels, and lets checkerboards and stripes pass
        self.texture = Texture(width)
        self.register_buffer("contrast", torch.ones(()))  # root mean square of the photographs' texture

    def maps(self, images: Images) -> Maps:
        pixels = images
        if images.shape[-1] != self.side:
            images = F.interpolate(images, size=(self.side, self.side), mode="bilinear", antialias=True)
        raw = self.network[0].features(images.contiguous(memory_format=torch.channels_last), STAGES)
        return [pixels, *(x / spread for x, spread in zip(raw, self.spread, strict=True))]

    def logits(self, maps: Maps) -> Logits:
        pixels, *maps = maps
        fine = self.texture(_fine(pixels) / self.contrast)
        logits = [GAIN * F.adaptive_avg_pool2d(fine, PATCHES).flatten(1)]
        mixed = None
        for i in reversed(range(len(STAGES))):
            x = self.across[i](maps[i])
            if mixed is not None:
                coarser = F.interpolate(self.down[i](mixed), size=x.shape[2:], mode="bilinear")
                x = (x + coarser) / 2**0.5
            mixed = self.scales[i](x)
            logits.append(GAIN * self.heads[i](mixed))
        return logits

    @torch.no_grad()
    def calibrate(self, images: Images) -> None:
        self.spread.fill_(1)
        self.spread.copy_(torch.stack([x.square().mean().sqrt() for x in self.maps(images)[1:]]))
        self.contrast.copy_(_fine(images).square().mean().sqrt())


def _fine(images: Images) -> Images:
    """What a blur takes away: stripes are faint beside the picture, and loud in this."""
    places = torch.arange(images.shape[-1], device=images.device)
    box = ((places[:, None] - places).abs() <= BLUR // 2).to(images)
    box = box / box.sum(1, keepdim=True)  # as matrices, twice as fast as avg_pool2d
    return images - box @ images @ box.T


class Pixels(Discriminator):
    """The baseline: convolutions from the picture itself, all of them trained."""

    def __init__(self, side: int, width: int = 32) -> None:
        super().__init__()
        self.side = side
        widths = [3] + [min(width * 2**i, 256) for i in range((side // 8).bit_length())]
        self.layers = nn.ModuleList(
            spectral_norm(nn.Conv2d(a, b, 4, 2, padding=1)) for a, b in pairwise(widths)
        )
        self.last = spectral_norm(nn.Conv2d(widths[-1] + 1, 1, 3, padding=1))

    def maps(self, images: Images) -> Maps:
        return [images]

    def logits(self, maps: Maps) -> Logits:
        [x] = maps
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
        return [self.last(torch.cat([x, _deviation(x)], dim=1)).flatten(1)]


def discriminator_terms(real: Logits, fake: Logits) -> dict[str, Tensor]:
    """Hinge loss (Lim & Ye 2017): photographs above 1, samples below -1."""
    return {"real": _mean([F.relu(1 - x) for x in real]), "fake": _mean([F.relu(1 + x) for x in fake])}


def generator_terms(fake: Logits) -> dict[str, Tensor]:
    """What the hinge loss leaves to the generator: a high logit."""
    return {"adversarial": -_mean(fake)}


def _mean(scales: list[Tensor]) -> Tensor:
    return torch.stack([x.mean() for x in scales]).mean()


def reconstruction_terms(maps: Maps, targets: Maps, images: Images, photographs: Images) -> dict[str, Tensor]:
    """Distances between photographs and their reconstructions.

    `maps` and `targets` are the discriminator's feature maps, of about unit scale, in the same order. The
    thumbnail tells colours, background and where the subject is.
    """
    pair = [images.float(), photographs]  # half precision is too coarse for squares of small differences
    small = [F.adaptive_avg_pool2d(x, THUMBNAIL) for x in pair]
    return {
        "perceptual": torch.stack([F.l1_loss(a, b) for a, b in zip(maps, targets, strict=True)]).mean(),
        "thumbnail": losses.pixel(*small).mean(),
        "pixel": losses.pixel(*pair).mean(),
    }
