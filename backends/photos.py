"""Pictures from outside -> upright 8-bit RGB, and RGB <-> tensors in [-1, 1].

`read_photo` is where untrusted bytes enter: only the formats of FORMATS are tried, and sizes are checked
in the header, before anything is decoded.
"""

import io
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from backends import Images
from config import UserError

log = logging.getLogger(__name__)

# No EPS or WMF, which run other programs, and no containers of other formats.
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000", "PPM")
WORKS = "JPEG, PNG, WebP, AVIF, GIF, TIFF and BMP pictures work"
PIXEL_LIMIT = 64_000_000  # of the file; a bomb of a few kilobytes may claim gigabytes
KEPT_PIXELS = 25_000_000  # of the result: what a camera of 24 megapixels takes stays; larger is reduced
SMALLEST_SIDE = 16  # pixels
LARGEST_RATIO = 20  # of the longer to the shorter side
BACKGROUND = (255, 255, 255)  # behind transparent parts: what a browser shows
HEIC = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"mif1", b"msf1")  # brands of ISO media files


class PhotoError(UserError):
    """A picture that cannot be used; the message is fit for the page and says what would work."""


def read_photo(source: Path | bytes) -> Image.Image:
    """An upright RGB picture, 8 bits a channel, sRGB, at most KEPT_PIXELS, of a file or its content.

    EXIF rotation is applied, embedded colour profiles are converted, transparency is laid on white, and of an
    animation the first frame is taken. Raises PhotoError.
    """
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as stream:
            return _decoded(_opened(stream))
    except OSError as error:  # the file itself: missing, a folder, no permission
        log.info("picture refused: %s", error)
        reason = error.strerror or "reading failed"
        raise PhotoError(f"the picture's file cannot be opened: {reason}") from error


def write_photo(photo: Image.Image, target: Path | io.BytesIO, kind: str = "") -> None:
    """Writes an RGB picture as `kind`, or the ending of `target`, says. Raises PhotoError for other endings.

    JPEG and WebP have quality 95, and JPEG colours of full size: what was not edited looks as it did. Only
    PNG and other lossless formats keep it bit for bit. Colours are sRGB, which is what a file without a
    profile means; nothing else is written, no place and no camera.
    """
    Image.init()
    kind = kind or Image.EXTENSION.get(Path(str(target)).suffix.lower(), "")
    if kind not in Image.SAVE:
        raise PhotoError("the picture's file name must end in .png, .jpg, .webp or .tif")
    options = {
        "JPEG": {"quality": 95, "subsampling": 0},
        "WEBP": {"quality": 95},
        "PNG": {"compress_level": 3},
    }
    photo.save(target, kind, **options.get(kind, {}))


def to_images(photo: Image.Image, size: int) -> Images:
    """An RGB picture as one image (1, 3, size, size) in [-1, 1]; other sizes are resized."""
    if photo.size != (size, size):
        photo = photo.resize((size, size), Image.Resampling.LANCZOS, reducing_gap=3)
    pixels = torch.from_numpy(np.array(photo.convert("RGB")))  # (size, size, 3)
    return (pixels.permute(2, 0, 1)[None].float() / 127.5 - 1).contiguous()


def to_pil(images: Images) -> list[Image.Image]:
    """One RGB picture per image; values are rounded to the nearest of 256 levels and clipped."""
    levels = (images.detach().float() + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)
    return [Image.fromarray(pixels) for pixels in levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def _opened(stream: io.BytesIO | io.BufferedReader) -> Image.Image:
    """The picture with its header read, nothing decoded."""
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    start = stream.read(512)
    stream.seek(0)
    if not start:
        raise PhotoError("the file is empty; upload it again, or choose another")
    try:
        return Image.open(stream, formats=known)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        most = f"{PIXEL_LIMIT // 10**6} million"
        raise PhotoError(f"the picture has too many pixels; up to {most} work") from error
    except UnidentifiedImageError as error:
        raise PhotoError(_unknown(start)) from error
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise _damaged(error) from error


def _unknown(start: bytes) -> str:
    """Says what the file seems to be."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start[4:8] == b"ftyp" and start[8:12] in HEIC:
        return f"HEIC pictures cannot be read here; export it as JPEG. {WORKS}"
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")):
        return f"SVG drawings cannot be read here; export it as PNG. {WORKS}"
    if start.startswith(b"%PDF"):
        return f"PDF documents cannot be read here; export the page as PNG. {WORKS}"
    return f"this is not a picture, or of an unknown kind. {WORKS}"


def _damaged(error: Exception) -> PhotoError:
    log.info("picture refused: %s: %s", type(error).__name__, error)
    return PhotoError("the picture is damaged or cut off; upload it again, or save it anew as JPEG or PNG")


def _checked(image: Image.Image) -> None:
    """Raises PhotoError for sizes that cannot be worked with."""
    width, height = image.size
    if width * height > PIXEL_LIMIT:
        reason = f"{width} x {height} pixels, {width * height / 1e6:.0f} million"
        raise PhotoError(f"the picture has {reason}; up to {PIXEL_LIMIT // 10**6} million work")
    if min(width, height) < SMALLEST_SIDE:
        raise PhotoError(
            f"the picture has only {width} x {height} pixels; from {SMALLEST_SIDE} x {SMALLEST_SIDE} on it "
            "works, and a face should be 200 pixels wide or more"
        )
    if max(width, height) > LARGEST_RATIO * min(width, height):
        size = f"{width} x {height}"
        raise PhotoError(f"the picture is extremely elongated ({size}); up to {LARGEST_RATIO} : 1 works")


def _decoded(image: Image.Image) -> Image.Image:
    _checked(image)
    try:
        image.load()
        orientation = _orientation(image)  # after load(), which turns some TIFFs itself
        if image.mode in ("RGB", "L", "CMYK"):
            _reduce(image)  # before anything is copied
        photo = _rgb(image)
        _reduce(photo)
        photo.info.clear()  # place, camera and thumbnails go no further
        if orientation != 1:
            photo.getexif()[ExifTags.Base.Orientation] = orientation
            ImageOps.exif_transpose(photo, in_place=True)
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise _damaged(error) from error
    return photo


def _reduce(image: Image.Image) -> None:
    """In place, to KEPT_PIXELS."""
    fit = min(1.0, math.sqrt(KEPT_PIXELS / (image.width * image.height)))
    most = (math.floor(fit * image.width), math.floor(fit * image.height))
    image.thumbnail(most, Image.Resampling.LANCZOS, reducing_gap=3)


def _orientation(image: Image.Image) -> int:
    try:
        orientation: Any = image.getexif().get(ExifTags.Base.Orientation)
    except Exception as error:  # damaged EXIF, of a picture that may be fine
        log.info("EXIF ignored: %s: %s", type(error).__name__, error)
        return 1
    return int(orientation) if orientation in range(2, 9) else 1


def _rgb(image: Image.Image) -> Image.Image:
    """Any mode as sRGB on the background; always a new picture."""
    profile = image.info.get("icc_profile")
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        colours = Image.new("RGB", image.size, BACKGROUND)
        colours.paste(_srgb(image.convert("RGB"), profile), mask=image.getchannel("A"))
        return colours
    if image.mode not in ("RGB", "CMYK", "L", "LAB"):
        image = image.convert("RGB")  # from 1, P, YCbCr, HSV, RGBX
    return _srgb(image, profile)


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey as L: 16-bit integers by their full range, floats by theirs (1, 255 or 65535)."""
    values = np.nan_to_num(np.asarray(image).astype(np.float64))
    scales = (1.0, 255.0, 65535.0) if image.mode == "F" else (65535.0,)
    full = next((scale for scale in scales if values.max() <= scale), values.max())
    return Image.fromarray(np.rint(values.clip(0) * (255 / full)).astype(np.uint8))


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB of the sRGB colour space; without a usable profile the numbers are taken for sRGB."""
    if profile:
        try:
            embedded = ImageCms.getOpenProfile(io.BytesIO(profile))
            if "srgb" in ImageCms.getProfileDescription(embedded).lower() and image.mode == "RGB":
                return image.copy()
            target = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(image, embedded, target, outputMode="RGB")
            if converted is not None:
                return converted
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as error:
            log.info("colour profile ignored: %s", error)
    return image.convert("RGB") if image.mode != "RGB" else image.copy()
