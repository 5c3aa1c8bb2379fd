"""Loss terms by name: pure, unweighted, one number per image; images of a batch never influence each other.

A YAML file lists terms with weights, as in `losses: {pixel: 8, perceptual: 1}`; an `Objective` computes
them. PICTURE holds the terms that compare a picture with its target, LATENT those that regularise a latent.
To add a term, write its function and its entry.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents
from backends.networks import dlib_resnet, efficientnet_lite

PerImage = Float[Tensor, " n"]
Features = list[Float[Tensor, "n _ _ _"]]  # one map (n, channels, rows, columns) per stage

Window = Float[Tensor, "places places"]  # weight of each place of a picture, 1 on average

# Where dlib puts its chip (padding 0.25) in an FFHQ-aligned picture, as fractions of the side: the mean
# of the similarities that dlib itself fits to 26 faces in that framing. Stands in for the landmark
# detector, which is not differentiable; descriptors of the two chips differ by 0.15 on average, at most
# 0.21.
CHIP_LEFT, CHIP_TOP, CHIP_SIDE = 0.1594, 0.2575, 0.6812


def resize(
    images: Float[Tensor, "n channels pixels pixels"], size: int
) -> Float[Tensor, "n channels {size} {size}"]:
    """Pictures of `size` x `size` pixels, antialiased; already that size: unchanged."""
    side = images.shape[-1]
    if side == size:
        return images
    if side % size == 0:
        return F.avg_pool2d(images, side // size)
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True)


def window(size: int, focus: float, device: torch.device | None = None) -> Window:
    """How much each place of a picture counts: 1 on average, the middle 1 + `focus` times the edge.

    Aligned subjects are in the middle (a bell of 0.2 sides); what is around them is of less interest.
    """
    axis = (torch.arange(size, device=device) + 0.5) / size - 0.5
    bell = torch.exp(-(axis / 0.2).square() / 2)
    counts = 1 + focus * bell[:, None] * bell
    return counts / counts.mean()


def pixel(predicted: Images, target: Images, window: Window | None = None) -> PerImage:
    """Mean squared difference; 0...4, as pictures are within [-1, 1]."""
    return _mean((predicted - target).square().mean(1), window)


def perceptual_features(images: Images, network: efficientnet_lite.Size = "lite0") -> Features:
    """EfficientNet features at strides 2 to 32, unit length over the channels everywhere.

    Lite0 is for optimising and training; judge with Lite2, which nothing was fitted to.
    """
    return [F.normalize(x, dim=1) for x in efficientnet_lite.load(network).features(images)]


def perceptual(predicted: Features, target: Features, window: Window | None = None) -> PerImage:
    """LPIPS-like: squared distance of unit features, averaged over positions, summed over stages.

    Zhang et al., CVPR 2018, equation 1 with all w = 1; not LPIPS, whose networks and fitted w are others.
    """
    stages = [_mean((a - b).square().sum(1), window) for a, b in zip(predicted, target, strict=True)]
    return torch.stack(stages).sum(0)


def _mean(differences: Float[Tensor, "n side side"], window: Window | None) -> PerImage:
    """Average over the places of a picture, weighted with the window."""
    if window is not None:
        differences = differences * F.adaptive_avg_pool2d(window[None], differences.shape[-1])
    return differences.mean((1, 2))


def chips(images: Images) -> Float[Tensor, "n 3 150 150"]:
    """The 150-pixel chip that dlib's network expects, cut from FFHQ-aligned pictures of any size."""
    side = dlib_resnet.SIDE
    steps = (torch.arange(side, device=images.device) + 0.5) / side * CHIP_SIDE
    y, x = torch.meshgrid(CHIP_TOP + steps, CHIP_LEFT + steps, indexing="ij")
    grid = torch.stack([x, y], dim=2) * 2 - 1  # (side, side, 2), grid_sample's -1...1 from edge to edge
    return F.grid_sample(images, grid.expand(len(images), -1, -1, -1), align_corners=False)


def descriptors(images: Images) -> Float[Tensor, "n 128"]:
    """dlib's identity descriptors of FFHQ-aligned pictures, at best of 256 pixels: nothing is antialiased."""
    return dlib_resnet.load()(chips(images))


def identity(predicted: Float[Tensor, "n 128"], target: Float[Tensor, "n 128"]) -> PerImage:
    """Squared distance of descriptors: below 0.36 dlib says it is the same person."""
    return (predicted - target).square().sum(1)


def delta(latents: Latents) -> PerImage:
    """Delta regularisation: mean squared distance of a latent's layers to their mean; 0 in W.

    Latents near W can be edited (Tov et al., e4e, SIGGRAPH 2021, section 3).
    """
    return (latents - latents.mean(1, keepdim=True)).square().mean((1, 2))


def prior(whitened: Latents) -> PerImage:
    """Squared Mahalanobis length per dimension: 0 at the mean of W, about 1 for samples.

    Zhu et al., Improved StyleGAN Embedding, 2020 (arXiv:2012.09036), section 3.
    """
    return whitened.square().mean((1, 2))


@dataclass(frozen=True)
class PictureTerm:
    """A distance between what `describe` sees in a picture and in the target."""

    distance: Callable[..., PerImage]  # (described picture, described target, window)
    describe: Callable[[Images], Any] = lambda images: images
    required: str = ""  # entry of weights.yaml that `describe` reads


PICTURE = {
    "pixel": PictureTerm(pixel),
    "perceptual": PictureTerm(perceptual, perceptual_features, "efficientnet_lite0"),
    "identity": PictureTerm(lambda a, b, _: identity(a, b), descriptors, "face_identity"),
}
LATENT = {"delta": delta, "prior": prior}
Weights = Mapping[str, float]  # of terms, by name


def check(weights: Weights) -> None:
    """Raises ValueError for unknown terms, negative weights, and a list without any term of PICTURE."""
    known = [*PICTURE, *LATENT]
    if unknown := [name for name in weights if name not in known]:
        raise ValueError(f"losses: there is no term {unknown[0]!r}; there are: {', '.join(known)}")
    if negative := [name for name, weight in weights.items() if not weight >= 0]:
        raise ValueError(f"losses: the weight of {negative[0]} must be at least 0")
    if not any(weights.get(name) for name in PICTURE):
        raise ValueError(f"losses: one of {', '.join(PICTURE)} must be above 0")


def required(weights: Weights) -> list[str]:
    """Entries of weights.yaml that these terms read."""
    return [term.required for name, term in PICTURE.items() if weights.get(name) and term.required]


class Objective:
    """The terms of `weights` that are above 0, against one batch of target pictures, described only once."""

    def __init__(self, weights: Weights, target: Images, focus: float = 0.0) -> None:
        self.weights = weights
        self.size = target.shape[-1]  # side at which pictures are compared
        self.window = window(self.size, focus, target.device)
        # the pixel term is cheap, and worth knowing at weight 0 as well
        self.picture = {n: term for n, term in PICTURE.items() if n == "pixel" or weights.get(n)}
        with torch.no_grad():
            self.target = {name: term.describe(target) for name, term in self.picture.items()}

    def terms(self, picture: Images, whitened: Latents | None = None) -> dict[str, PerImage]:
        """Every term, unweighted; those of LATENT only if `whitened` is given: coordinates of unit variance
        (`inverters/_space.py`)."""
        picture = resize(picture, self.size)
        terms = {
            name: term.distance(term.describe(picture), self.target[name], self.window)
            for name, term in self.picture.items()
        }
        latent = {n: term for n, term in LATENT.items() if n in self.weights} if whitened is not None else {}
        return terms | {name: term(whitened) for name, term in latent.items()}

    def total(self, terms: Mapping[str, PerImage]) -> PerImage:
        """The weighted sum."""
        return torch.stack([self.weights.get(name, 0.0) * term for name, term in terms.items()]).sum(0)
