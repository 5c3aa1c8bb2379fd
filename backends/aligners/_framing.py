"""The FFHQ frame around a face, and how a square is cut out of a photograph.

The frame and the padding follow Karras, Laine & Aila, "A style-based generator architecture for generative
adversarial networks" (CVPR 2019), appendix A and the data set's published recipe.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image, ImageFilter

from backends.aligners import AlignmentError
from backends.squares import Point, Square

LANCZOS = Image.Resampling.LANCZOS
SUPERSAMPLING = 2  # of both axes, while a square is turned upright
# The 5 landmarks have no mouth. Where it is was fitted to the 68 landmarks of 250 photographs (least squares,
# in units of the distance between the eyes); the frame then differs by 2 % of its side (median).
EYE_LIFT, MOUTH_NOSE, MOUTH_BELOW = 0.011, 0.26, 0.83


def of_face(landmarks: Sequence[Point]) -> Square:
    """The FFHQ frame around the face with these landmarks (dlib's 68, or its 5).

    With e the vector between the eyes and m the vector from their middle to the mouth, the axis is along
    e - m turned by 90 degrees, half the side is max(2 |e|, 1.8 |m|), and the centre 0.1 m below the eyes.
    Raises AlignmentError when all landmarks coincide.
    """
    left, right, mouth = _anchors(np.asarray(landmarks, dtype=float))
    eyes, across, down = (left + right) / 2, right - left, mouth - (left + right) / 2
    axis = across + np.array([down[1], -down[0]])
    length = np.hypot(*axis)
    if not length > 0:
        raise AlignmentError("all landmarks lie in one point: choose another face, or the centre crop")
    axis *= max(2.0 * np.hypot(*across), 1.8 * np.hypot(*down)) / length
    return Square(tuple((eyes + 0.1 * down).tolist()), tuple(axis.tolist()))


def _anchors(landmarks: Float[ndarray, "points 2"]) -> tuple[ndarray, ndarray, ndarray]:
    """Centres of the eye on the left and on the right of the picture, and of the mouth, each (2,)."""
    if len(landmarks) == 68:
        left, right = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
        return left, right, (landmarks[48] + landmarks[54]) / 2
    right, left, nose = landmarks[0:2].mean(0), landmarks[2:4].mean(0), landmarks[4]
    eyes, across = (left + right) / 2, right - left
    below = np.array([-across[1], across[0]])
    lift = EYE_LIFT * below  # the other model's eyes are centred on six points, not on the corners
    return left - lift, right - lift, eyes + MOUTH_NOSE * (nose - eyes) + MOUTH_BELOW * below


def sample(photo: Image.Image, square: Square, size: int) -> Image.Image:
    """`square` turned upright, `size` x `size` pixels; black outside the photograph. Quick, for detectors."""
    return _upright(*_reduced(photo, square, size), size)


def cut(photo: Image.Image, square: Square, size: int) -> Image.Image:
    """`square` turned upright, antialiased; beyond its edges the photograph is continued as in FFHQ.

    One that is upright already, and inside, is only resized.

    Raises AlignmentError when nothing of the photograph is in the square.
    """
    low, high = square.corners.min(0), square.corners.max(0)
    if (high <= 0).any() or (low >= photo.size).any() or square.side < 1:
        raise AlignmentError("the frame lies outside the photograph; choose another, or the centre crop")
    x, y = square.axis
    if x > 0 == y and (low >= 0).all() and (high <= photo.size).all():
        within = (*low.tolist(), *high.tolist())
        return photo.resize((size, size), LANCZOS, box=within, reducing_gap=3)
    fine = SUPERSAMPLING * size
    turned = _upright(*_padded(*_reduced(photo, square, fine)), fine)
    return turned.resize((size, size), LANCZOS)


def _reduced(photo: Image.Image, square: Square, size: int) -> tuple[Image.Image, Square]:
    """The part of the photograph around the square, with no more pixels than the result can show."""
    border = max(round(0.1 * square.side), 3)
    low, high = square.corners.min(0) - border, square.corners.max(0) + border
    left, top = (int(v) for v in np.clip(np.floor(low), 0, np.array(photo.size) - 1))
    right, bottom = (int(v) for v in np.clip(np.ceil(high), (left + 1, top + 1), photo.size))
    shrink = min(1.0, size / square.side)
    width, height = (max(1, round(extent * shrink)) for extent in (right - left, bottom - top))
    part = photo.resize((width, height), LANCZOS, box=(left, top, right, bottom), reducing_gap=3)
    scale = (width / (right - left), height / (bottom - top))
    return part, square.moved((-left, -top), scale)


def _padded(photo: Image.Image, square: Square) -> tuple[Image.Image, Square]:
    """The photograph continued on every side where the square leaves it.

    Mirrored pixels would show a second chin or half an eye: they blur within 0.1 sides of the edge and fade
    to the picture's median colour further out.
    """
    low, high = square.corners.min(0), square.corners.max(0)
    need = np.ceil([*-low, *(high - photo.size)])  # left, top, right, bottom
    if need.max() <= 0:
        return photo, square
    margins = [int(v) for v in np.maximum(need, round(0.3 * square.side))]
    left, top, right, bottom = margins
    pixels = np.pad(np.asarray(photo), ((top, bottom), (left, right), (0, 0)), mode="reflect")
    padded = Image.fromarray(pixels)
    outside = _outside(padded.size, margins)
    padded.paste(_blurred(padded, 0.02 * square.side), mask=_mask(3 * outside + 1))
    small = np.asarray(photo.resize((64, 64), Image.Resampling.BOX))
    median = tuple(int(v) for v in np.median(small, axis=(0, 1)))
    padded.paste(median, (0, 0, *padded.size), _mask(outside))
    return padded, square.moved((left, top), (1, 1))


def _outside(size: tuple[int, int], margins: list[int]) -> Float[ndarray, "height width"]:
    """0 at the photograph's edge, 1 at the padded one, negative within; margins: left, top, right, bottom."""
    left, top, right, bottom = margins
    x, y = (np.arange(extent, dtype=np.float32) for extent in size)
    across = np.minimum(x / left, (size[0] - 1 - x) / right)
    down = np.minimum(y / top, (size[1] - 1 - y) / bottom)
    return 1 - np.minimum(across, down[:, None])


def _mask(weight: Float[ndarray, "height width"]) -> Image.Image:
    return Image.fromarray(np.rint(255 * weight.clip(0, 1)).astype(np.uint8))


def _blurred(image: Image.Image, radius: float) -> Image.Image:
    """Gaussian blur, of a copy as small as the blur allows."""
    factor = max(1, int(radius / 4))
    small = image.reduce(factor).filter(ImageFilter.GaussianBlur(radius / factor))
    return small.resize(
        image.size, Image.Resampling.BICUBIC, box=(0, 0, image.width / factor, image.height / factor)
    )


def _upright(photo: Image.Image, square: Square, size: int) -> Image.Image:
    corners = tuple(square.corners.flatten().tolist())
    return photo.transform((size, size), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
