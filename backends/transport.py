"""Where things went when a latent was edited, and what of them can still be seen.

A generator's feature maps look alike wherever it draws the same thing, so the place of the unedited picture
that shows what a place of the edited one shows is found by comparing maps. What belongs to a place of the
unedited picture can then be moved along. Written out in torch, which is the reference; without gradients the
inner loops are compiled ones (`kernels/transport.py`), where there is numba.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from backends import Images
from backends.comparison import compiled
from backends.losses import resize

Maps = Float[Tensor, "n channels side side"]
Single = Float[Tensor, "n 1 side side"]
Offsets = Float[Tensor, "n 2 side side"]

COARSE_SIDE = 32  # of the maps that are searched widely, places
COARSE_WINDOW, FINE_WINDOW = 6, 2  # places to every side that are searched; the fine search goes from there
COARSE_SHARPNESS, FINE_SHARPNESS = 0.01, 0.005  # temperature of the softmax over places
COARSE_DISTANCE, FINE_DISTANCE = 0.002, 0.004  # similarity that a place must gain per squared place of way
MARGIN = 0.02  # similarity by which a match must beat staying: motion needs evidence
FLOOR = 0.02  # weight of places that match nothing when offsets are smoothed
UNLIKE, ALIKE = 0.3, 0.6  # similarity at which nothing is left of what was there, and at which all is
STRUCTURE = 0.6  # the same for the structure of the picture, from 0
STRUCTURE_SIDE = 128  # of the pictures whose structure is compared, pixels
STRUCTURE_FLOOR = 0.003  # squared contrast below which structure is noise

AT_REST, IN_MOTION = 0.2, 0.8  # places that something may move, and at which it surely does
SPREAD, SPREAD_FLOOR = 9, 0.05  # window over which colours spread, places; and the weight of knowing none


@dataclass(frozen=True)
class Motion:
    """How a picture follows an edit."""

    offsets: Offsets  # from every place to where it was before, x then y, in places of these maps
    seen: Float[Tensor, "n 1 places places"]  # how much of what was there can still be seen: 0...1

    def moved(
        self, x: Float[Tensor, "_ channels pixels pixels"]
    ) -> Float[Tensor, "n channels pixels pixels"]:
        """`x`, which belongs to the unedited picture, where it is now. Any size."""
        return warp(x, self.offsets)

    @property
    def moving(self) -> Single:
        """Whether a place is another one than before: 0...1."""
        length = self.offsets.square().sum(1, keepdim=True).sqrt()
        return ((length - AT_REST) / (IN_MOTION - AT_REST)).clamp(0, 1)


@dataclass(frozen=True)
class Still:
    """The unedited picture, in one size."""

    drawn: Float[Tensor, "1 3 side side"]  # by the generator
    photograph: Float[Tensor, "1 3 side side"]

    @cached_property
    def missing(self) -> Float[Tensor, "1 3 side side"]:
        return self.photograph - self.drawn

    @cached_property
    def doubt(self) -> Float[Tensor, "1 1 places places"]:
        """Where the generator's structure is another than the photograph's: 0...1.

        What an edit changes in the small there belongs to something that the photograph does not show.
        """
        alike = structure(self.small, resize(self.photograph, self.small.shape[-1]))
        return 1 - _mean((alike / STRUCTURE).clamp(0, 1), 5)

    @cached_property
    def small(self) -> Float[Tensor, "1 3 places places"]:
        """What is drawn, in the size in which structure is compared."""
        return resize(self.drawn, min(STRUCTURE_SIDE, self.drawn.shape[-1]))


@dataclass(frozen=True)
class Match:
    """What features alone say of an edit."""

    offsets: Offsets
    likeness: Single  # of what is there with what was there: -1...1

    @staticmethod
    def of(new: Maps, old: Maps) -> "Match":
        offsets = motion(new, old)
        return Match(offsets, _alike(new, old, offsets))

    @staticmethod
    def same(features: Maps) -> "Match":
        """Exactly what `of` finds where nothing has changed."""
        shape = len(features), 1, *features.shape[2:]
        return Match(features.new_zeros(shape).repeat(1, 2, 1, 1), features.new_ones(shape))


def motion(new: Maps, old: Maps) -> Offsets:
    """The offsets between features of the edited and of the unedited picture, coarse to fine.

    Similarity is their cosine, averaged over 3 x 3 places. A soft maximum over a window of coarse places,
    then over a smaller one of the maps' own, each kept only where it beats staying.
    """
    side = new.shape[-1]
    offsets = torch.zeros_like(new[:, :2])
    if side >= 2 * COARSE_SIDE:
        factor = side // COARSE_SIDE
        low_new, low_old = (_pooled(x, factor) for x in (new, old))
        offsets = _searched(low_new, low_old, None, COARSE_WINDOW, COARSE_SHARPNESS, COARSE_DISTANCE)
        likeness, staying = _alike(low_new, low_old, offsets), _alike(low_new, low_old)
        moving = _moving(likeness, staying)
        weight = FLOOR + torch.where(moving, likeness, staying).clamp(min=0).square()
        offsets = resized(_smoothed(offsets * moving, weight, 3), side) * factor
    offsets = _searched(new, old, offsets, FINE_WINDOW, FINE_SHARPNESS, FINE_DISTANCE)
    likeness, staying = _alike(new, old, offsets), _alike(new, old)
    moving = _mean(_moving(likeness, staying).float(), 5) > 0.5  # as most of the neighbours say
    weight = FLOOR + torch.maximum(likeness, staying).clamp(min=0).square()
    return _smoothed(_smoothed(offsets * moving, weight, 5), weight, 5)


def follow(match: Match, drawn: Images, before: Float[Tensor, "n 3 places places"]) -> Motion:
    """Where everything went, and what is still to be seen: places whose features and structure are alike.

    `drawn` are the generator's pictures of edited latents, `before` small ones of the unedited latents. Their
    structure is compared at that size (contrast and structure of SSIM; Wang et al., IEEE TIP 2004,
    section III B), so that a change of colour alone hides nothing.
    """
    seen = ((match.likeness - UNLIKE) / (ALIKE - UNLIKE)).clamp(0, 1)
    small = resize(drawn, before.shape[-1])
    same = (structure(small, warp(before, match.offsets)) / STRUCTURE).clamp(0, 1)
    return Motion(match.offsets, resized(seen, same.shape[-1]) * _mean(same, 5))


def carried(drawn: Images, motion: Motion, still: Still) -> Images:
    """The generator's edited pictures with the photograph in them; the photograph where nothing was edited.

    Where a place stays, it is the photograph plus what the edit changes there. Where it moves, or where the
    generator never drew what the photograph shows, texture comes from the photograph and only coarse changes
    from the generator, whose own texture does not fit there.
    What was not to be seen before is the generator's, in the light and the colours of what is around.
    """
    side = drawn.shape[-1]
    change = resize(drawn, still.small.shape[-1]) - motion.moved(still.small)
    coarse, doubt = _mean(_mean(change, 3), 3), motion.moved(still.doubt)
    around = _around(motion, still.missing)
    if fast := compiled(drawn, motion.offsets):
        small = motion.seen, motion.moving, coarse, doubt, around
        return fast.composed(drawn, still.photograph, still.missing, motion.offsets, *small)
    seen, moving = resized(motion.seen, side), resized(motion.moving, side)
    staying = drawn + motion.moved(still.missing)
    going = motion.moved(still.photograph) + resized(coarse, side)
    kept = staying + torch.maximum(moving, resized(doubt, side)) * (going - staying)
    new = drawn + resized(around, side)
    return new + seen * (kept - new)


def _around(motion: Motion, missing: Float[Tensor, "1 3 pixels pixels"]) -> Maps:
    """What is missing in the parts that can be seen, spread over those that cannot."""
    places = min(motion.offsets.shape[-1], missing.shape[-1])
    colours, seen = motion.moved(resize(missing, places)), resize(motion.seen, places)
    amount, weight = (_mean(_mean(x, SPREAD), SPREAD) for x in (colours * seen, seen))
    return amount / (weight + SPREAD_FLOOR)


def structure(a: Maps, b: Maps) -> Single:
    """How alike the patterns of two pictures are in 7 x 7 windows: -1...1; 1 where both are plain."""
    if fast := compiled(a, b):
        return fast.structure(a, b, STRUCTURE_FLOOR)
    mean_a, mean_b = _mean(a, 7), _mean(b, 7)
    square_a, square_b = _mean(a * a, 7) - mean_a * mean_a, _mean(b * b, 7) - mean_b * mean_b
    product = _mean(a * b, 7) - mean_a * mean_b
    both = (square_a + square_b).sum(1, keepdim=True).clamp(min=0)
    return (2 * product.sum(1, keepdim=True) + STRUCTURE_FLOOR) / (both + STRUCTURE_FLOOR)


def warp(
    x: Float[Tensor, "_ channels pixels pixels"], offsets: Offsets
) -> Float[Tensor, "n channels pixels pixels"]:
    """`x` sampled (bilinear) at every place plus its offset; offsets are in places of their own size."""
    if fast := compiled(x, offsets):
        return fast.warp(x, offsets)
    side = x.shape[-1]
    ways = resized(offsets, side) * (side / offsets.shape[-1])
    axis = torch.arange(side, device=x.device) + 0.5
    y, x_axis = torch.meshgrid(axis, axis, indexing="ij")
    grid = torch.stack([x_axis + ways[:, 0], y + ways[:, 1]], dim=-1) * (2 / side) - 1
    return F.grid_sample(x.expand(len(grid), -1, -1, -1), grid, padding_mode="border", align_corners=False)


def _searched(
    new: Maps, old: Maps, start: Offsets | None, window: int, sharpness: float, distance: float
) -> Offsets:
    """Soft maximum of similarity over the places around where `start` leads."""
    if fast := compiled(new, old):
        begun = torch.zeros_like(new[:, :2]) if start is None else start
        offsets = fast.searched(new, old, begun, window, sharpness, distance)
        return offsets if start is None else offsets + warp(start, offsets)
    reached = old if start is None else warp(old, start)
    side = new.shape[-1]
    padded = F.pad(reached, (window,) * 4, mode="replicate")
    width = range(2 * window + 1)
    found = [(new * padded[:, :, y : y + side, x : x + side]).sum(1) for y in width for x in width]
    similarity = _mean(torch.stack(found, 1), 3)
    axis = torch.arange(-window, window + 1, device=new.device, dtype=new.dtype)
    ways = torch.cartesian_prod(axis, axis).flip(1)  # (places, 2): x, y
    score = similarity - distance * ways.square().sum(1)[:, None, None]
    offsets = torch.einsum("npyx,pc->ncyx", (score / sharpness).softmax(1), ways)
    return offsets if start is None else offsets + warp(start, offsets)


def _alike(new: Maps, old: Maps, offsets: Offsets | None = None) -> Single:
    if offsets is not None and (fast := compiled(new, old)):
        return _mean(fast.products(new, old, offsets), 3)
    moved = old if offsets is None else warp(old, offsets)
    return _mean((new * moved).sum(1, keepdim=True), 3)


def _moving(likeness: Single, staying: Single) -> Bool[Tensor, "n 1 side side"]:
    """Where there is evidence for motion: the match is better than staying, and better than chance."""
    return (likeness > staying + MARGIN) & (likeness > UNLIKE)


def _smoothed(offsets: Offsets, weight: Single, width: int) -> Offsets:
    return _mean(offsets * weight, width) / _mean(weight, width)


def _pooled(x: Maps, factor: int) -> Float[Tensor, "n channels places places"]:
    """Features of factor x factor places, again of unit length."""
    if fast := compiled(x):
        return fast.pooled(x, factor)
    return F.normalize(F.avg_pool2d(x, factor), dim=1)


def _mean(x: Maps, width: int) -> Maps:
    """Over `width` x `width` places; the edge goes on."""
    if fast := compiled(x):
        return fast.mean(x, width)
    return F.avg_pool2d(F.pad(x, (width // 2,) * 4, mode="replicate"), width, stride=1)


def resized(x: Maps, side: int) -> Float[Tensor, "n channels {side} {side}"]:
    """Bilinear, to a larger side; already that size: unchanged."""
    if x.shape[-1] == side:
        return x
    if fast := compiled(x):
        return fast.resized(x, side)
    return F.interpolate(x, (side, side), mode="bilinear", align_corners=False)
