"""The edited crop back in its photograph.

What is added to the photograph is the *change*, the edited crop minus the crop before the edit, resampled
along the inverse of the alignment. So the photograph's own colours and sharpness stay wherever the edit
changes nothing, and no border has to be matched.

A photograph may be finer than its crop. This detail belongs to what the crop shows: it must go where the edit
moves or removes what it lies on, or it would be a ghost there. `survival` measures how much of it stays.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy import ndarray
from PIL import Image
from torch import Tensor

from backends import Images
from backends.squares import Square

SoftMask = Float[Tensor, "rows rows"]  # of a square: 1 = the edit, 0 = the photograph
STRIP = 1 << 19  # pixels of the photograph that are resampled at once: about 40 MB
FINE, AROUND = 2, 4  # radii of the finest detail and of the window in which it is compared, pixels
NOISE = (2 / 127.5) ** 2  # variance of detail that says nothing, in [-1, 1]
MEASURED = 256  # most pixels of a side at which survival is measured; half the side is enough


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels that replace those of a photograph."""

    corner: tuple[int, int]  # left, top
    pixels: Image.Image

    def onto(self, photo: Image.Image) -> Image.Image:
        """The photograph itself, changed."""
        photo.paste(self.pixels, self.corner)
        return photo


@dataclass(frozen=True, eq=False)
class Paste:
    """One edited crop, and where it belongs."""

    square: Square  # in pixels of the photograph
    before: Images  # (1, 3, size, size), of any size: the crop at zero
    after: Images  # the same after the edit
    mask: SoftMask
    margin: float = 0.04  # where the mask falls to 0 at a border within the photograph, share of the side

    def patch(self, photo: Image.Image) -> Patch:
        """The part of an RGB photograph around the square, with the change in it.

        Every pixel outside the square, where the mask is 0, or where nothing changes keeps its bytes. Strips
        bound the memory for any size.
        """
        (left, top), (right, bottom) = self._bounds(photo.size)
        if right <= left or bottom <= top or torch.equal(self.before, self.after):
            return Patch((0, 0), photo.crop((0, 0, 1, 1)))
        layers = _layers(self.before, self.after, self.mask, self.square.side)
        layers[:, -1] *= _closed(self.square, photo.size, layers.shape[-1], self.margin).to(layers)
        result, rows = Image.new("RGB", (right - left, bottom - top)), max(1, STRIP // (right - left))
        for upper in range(top, bottom, rows):
            box = (left, upper, right, min(upper + rows, bottom))
            strip = _changed(np.asarray(photo.crop(box)), layers, _places(self.square, box))
            result.paste(Image.fromarray(strip), (0, upper - top))
        return Patch((left, top), result)

    def onto(self, photo: Image.Image) -> Image.Image:
        """A copy of the photograph with the patch."""
        return self.patch(photo).onto(photo.copy())

    def _bounds(self, size: tuple[int, int]) -> list[list[int]]:
        """Left and top, right and bottom of the square, within the photograph."""
        corners = self.square.corners
        ends = np.stack([np.floor(corners.min(0)), np.ceil(corners.max(0))])
        return ends.clip(0, size).astype(int).tolist()


def blended(before: Images, after: Images, mask: SoftMask) -> Images:
    """The edited crop alone: `before` where the mask is 0 or nothing changes, exactly."""
    weight = F.interpolate(mask[None, None].to(after), before.shape[2:], mode="bilinear")
    return torch.addcmul(before, weight, after - before)


def survival(before: Images, after: Images) -> Float[Tensor, "1 1 side side"]:
    """How much of the finest detail of `before` is still there in `after`: 1 = all, 0 = none.

    The slope of the regression of one picture's detail on the other's, in a window around every pixel. It is
    exactly 1 where they are the same, about 1 where only colours change, and 0 where something has moved.
    """
    side = min(before.shape[-1] // 2 + 1, MEASURED)
    fine = [_detail(_reduced(images, side).mean(1, keepdim=True)) for images in (before, after)]
    both, own = (_mean(fine[0] * each, AROUND) for each in (fine[1], fine[0]))
    slope = ((both + NOISE) / (own + NOISE)).clamp(0, 1)
    least = -F.max_pool2d(-slope, 2 * FINE + 1, 1, FINE)  # detail of an edge reaches beyond it
    return torch.where(least < 1, _mean(least, FINE), least)


def _detail(images: Float[Tensor, "1 1 side side"]) -> Float[Tensor, "1 1 side side"]:
    return images - _mean(images, FINE)


def _mean(images: Float[Tensor, "1 1 side side"], radius: int) -> Float[Tensor, "1 1 side side"]:
    """Over squares of 2 radius + 1 pixels, twice: nearly a bell."""
    for _ in range(2):
        for across in ((1, 0), (0, 1)):  # one after the other: many times as fast
            window, padding = [2 * radius * each + 1 for each in across], [radius * each for each in across]
            images = F.avg_pool2d(images, window, 1, padding, count_include_pad=False)
    return images


def _reduced(images: Float[Tensor, "1 channels size size"], side: int) -> Float[Tensor, "1 channels _ _"]:
    """No larger than `side`, antialiased."""
    if images.shape[-1] <= side:
        return images
    return F.interpolate(images, (side, side), mode="bicubic", antialias=True)


def _layers(before: Images, after: Images, mask: SoftMask, side: float) -> Float[Tensor, "1 8 pixels pixels"]:
    """Change, picture before, survival and mask, with no more pixels than the photograph can show."""
    pixels = max(1, min(before.shape[-1], round(side)))
    soft = F.interpolate(mask[None, None].to(before), (pixels, pixels), mode="bicubic").clamp(0, 1)
    small = _reduced(torch.cat([after - before, before], 1), pixels)
    change, base = small.split(3, 1)
    kept = F.interpolate(survival(base, base + change), (pixels, pixels), mode="bilinear")
    return torch.cat([small, kept, soft], 1)


def _closed(square: Square, size: tuple[int, int], pixels: int, margin: float) -> SoftMask:
    """0 along the sides of the square beyond which the photograph goes on, 1 from `margin` on."""
    along = np.linspace(0, 1, 65)
    ramp = torch.arange(pixels).add(0.5).div(margin * pixels).clamp(max=1)
    ramp = ramp * ramp * (3 - 2 * ramp)
    weight = torch.ones(pixels, pixels)
    for axis, end in ((0, 0), (0, 1), (1, 0), (1, 1)):
        side = square.to_photo(np.insert(along[:, None], axis, end, axis=1))
        if ((side > 0.5) & (side < np.array(size) - 0.5)).all(1).any():
            weight *= (ramp.flip(0) if end else ramp)[:, None] if axis else ramp.flip(0) if end else ramp
    return weight


def _places(square: Square, box: tuple[int, int, int, int]) -> Float[Tensor, "1 rows columns 2"]:
    """Where the box's pixels are in the square, from -1 to 1, as `grid_sample` wants them."""
    left, top, right, bottom = box
    x, y = np.meshgrid(np.arange(left, right) + 0.5, np.arange(top, bottom) + 0.5)
    places = 2 * square.from_photo(np.stack([x.ravel(), y.ravel()], 1)) - 1
    return torch.from_numpy(places).float().view(1, *x.shape, 2)


def _changed(
    strip: ndarray, layers: Float[Tensor, "1 8 pixels pixels"], places: Float[Tensor, "1 rows columns 2"]
) -> ndarray:
    """A strip of the photograph with the change; `strip` is (rows, columns, 3) of bytes."""
    places = places.to(layers)
    here = F.grid_sample(layers, places, "bicubic", "border", align_corners=False)[0]
    change, before, kept, soft = here.split([3, 3, 1, 1])
    inside = (places[0].abs() <= 1).all(-1) & (soft[0] > 0)
    own = torch.from_numpy(strip.copy()).to(layers).permute(2, 0, 1) / 127.5 - 1
    change = change - (1 - kept).clamp(0, 1) * (own - before)
    levels = (own + soft.clamp(0, 1) * change + 1).mul(127.5).round().clamp(0, 255).byte()
    return np.where(inside.cpu().numpy()[..., None], levels.permute(1, 2, 0).cpu().numpy(), strip)
