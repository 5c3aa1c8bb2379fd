"""Pictures of every mode and every kind of damage, made here."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from backends import photos
from backends.photos import PhotoError, read_photo, to_images, to_pil

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
CLOSE = 12  # levels that lossy formats may be off
STORED = {  # EXIF orientation -> how an upright picture is stored with it
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.fixture
def quarters() -> Image.Image:
    """60 x 40, red and green above, blue and white below: tells every orientation from every other."""
    picture = Image.new("RGB", (60, 40))
    for corner, colour in (((0, 0), RED), ((30, 0), GREEN), ((0, 20), BLUE), ((30, 20), WHITE)):
        picture.paste(colour, (*corner, corner[0] + 30, corner[1] + 20))
    return picture


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def corners(picture: Image.Image) -> list[tuple[int, ...]]:
    """Colours well inside the quarters, row by row."""
    right, bottom = picture.width - 5, picture.height - 5
    return [picture.getpixel(place) for place in ((4, 4), (right, 4), (4, bottom), (right, bottom))]  # type: ignore[misc]


def assert_like(picture: Image.Image, colours: list[tuple[int, ...]], tolerance: int = 1) -> None:
    assert picture.mode == "RGB"
    assert np.abs(np.array(corners(picture)) - np.array(colours)).max() <= tolerance


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "GIF", "TIFF", "BMP", "JPEG2000", "PPM"])
def test_every_format(quarters, kind):
    photo = read_photo(encoded(quarters, kind, **({"subsampling": 0} if kind == "JPEG" else {})))
    assert photo.size == (60, 40)
    assert_like(photo, [RED, GREEN, BLUE, WHITE], CLOSE)


def test_a_file_and_its_content_are_read_alike(quarters, tmp_path):
    file = tmp_path / "photo.png"
    quarters.save(file)
    for source in (file, file.read_bytes()):
        assert read_photo(source).tobytes() == quarters.tobytes()


@pytest.mark.parametrize("orientation", [0, 9, "6", b"6"])
def test_orientations_that_do_not_exist_are_ignored(quarters, orientation):
    quarters.getexif()[0x0112] = orientation
    assert photos._decoded(quarters).tobytes() == quarters.tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "MPO"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation(quarters, kind, orientation):
    stored = quarters if orientation == 1 else quarters.transpose(STORED[orientation])
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = read_photo(encoded(stored, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {})))
    assert photo.size == (60, 40)
    assert_like(photo, [RED, GREEN, BLUE, WHITE], 40 if kind in ("JPEG", "WEBP", "MPO") else 1)


def test_compressed_tiff_is_turned_once(quarters):
    exif = Image.Exif()
    exif[0x0112] = 3
    stored = quarters.transpose(Image.Transpose.ROTATE_180)
    assert_like(
        read_photo(encoded(stored, "TIFF", exif=exif, compression="tiff_lzw")), [RED, GREEN, BLUE, WHITE]
    )


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_is_ignored(quarters):
    for exif in (
        b"Exif\x00\x00garbage",
        b"Exif\x00\x00II*\x00\xff\xff\xff\xff",
        b"Exif\x00\x00MM\x00*" + b"\xff" * 40,
    ):
        assert_like(
            read_photo(encoded(quarters, "JPEG", exif=exif, subsampling=0)), [RED, GREEN, BLUE, WHITE], CLOSE
        )


def test_nothing_about_the_photographer_remains(quarters):
    exif = Image.Exif()
    exif[0x010E] = "at home"
    photo = read_photo(encoded(quarters, "JPEG", exif=exif, comment=b"at home"))
    assert not photo.info
    assert not photo.getexif()


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "LAB", "RGBA", "LA", "PA", "I", "I;16", "I;16B", "F"]
)
def test_every_mode_in_memory(mode):
    grey = Image.linear_gradient("L").resize((64, 64))
    deep = {"I": np.int32, "I;16": np.uint16, "I;16B": np.dtype(">u2"), "F": np.float32}
    if mode in deep:
        levels = np.asarray(grey).astype(np.float64) / 255 * (1 if mode == "F" else 65535)
        picture = Image.frombytes(mode, grey.size, levels.astype(deep[mode]).tobytes())
    elif mode == "LAB":
        lab = ImageCms.createProfile("LAB")
        picture = ImageCms.profileToProfile(
            grey.convert("RGB"), ImageCms.createProfile("sRGB"), lab, outputMode="LAB"
        )
    elif mode in ("P", "PA"):
        picture = grey.quantize(256).convert(mode)
    else:
        picture = grey.convert("RGB").convert(mode)
    assert picture is not None
    photo = photos._decoded(picture)
    difference = np.asarray(photo, dtype=int)[..., 1] - np.asarray(grey, dtype=int)
    assert photo.mode == "RGB"
    assert np.abs(difference.mean() if mode == "1" else difference).max() <= 4


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bit_grey_keeps_its_brightness(kind):
    levels = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    photo = np.asarray(read_photo(encoded(Image.fromarray(levels), kind)), dtype=int)
    assert np.abs(photo[..., 0] - levels / 257).max() <= 0.5


def test_sixteen_bit_colour_png():
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    row = b"\x00" + b"\x80\x00\x40\x00\xff\xff" * 20
    body = [
        (b"IHDR", struct.pack(">IIBBBBB", 20, 20, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(row * 20)),
        (b"IEND", b""),
    ]
    photo = read_photo(b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in body))
    assert photo.getpixel((5, 5)) == (0x80, 0x40, 0xFF)


def test_transparency_is_laid_on_white(quarters):
    alpha = Image.new("L", quarters.size, 255)
    alpha.paste(0, (0, 0, 30, 20))
    alpha.paste(128, (30, 0, 60, 20))
    quarters.putalpha(alpha)
    expected = [WHITE, (127, 255, 127), BLUE, WHITE]
    for kind in ("PNG", "TIFF"):
        assert_like(read_photo(encoded(quarters, kind)), expected)
    assert_like(read_photo(encoded(quarters, "WEBP", lossless=True)), expected)


def test_palette_with_a_transparent_colour(quarters):
    palette = quarters.quantize(4)
    hidden = palette.getpixel((4, 4))
    for kind in ("PNG", "GIF"):
        assert_like(read_photo(encoded(palette, kind, transparency=hidden)), [WHITE, GREEN, BLUE, WHITE])


def test_transparent_colour_of_rgb_and_grey(quarters):
    assert_like(read_photo(encoded(quarters, "PNG", transparency=RED)), [WHITE, GREEN, BLUE, WHITE])
    grey = Image.new("L", (20, 20), 90)
    assert read_photo(encoded(grey, "PNG", transparency=90)).getpixel((3, 3)) == WHITE


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_first_frame_of_an_animation(quarters, kind):
    others = [Image.new("RGB", quarters.size, (9, 9, 9)), Image.new("RGB", quarters.size, (99, 9, 9))]
    photo = read_photo(encoded(quarters, kind, save_all=True, append_images=others))
    assert_like(photo, [RED, GREEN, BLUE, WHITE], 40)


def test_cmyk_jpeg(quarters):
    assert_like(
        read_photo(encoded(quarters.convert("CMYK"), "JPEG", quality=95)), [RED, GREEN, BLUE, WHITE], CLOSE
    )


def linear_profile() -> bytes:
    """sRGB's profile with the transfer curves replaced by gamma 1."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    [count] = struct.unpack(">I", data[128:132])
    for entry in range(132, 132 + 12 * count, 12):
        if data[entry : entry + 4] in (b"rTRC", b"gTRC", b"bTRC"):
            [offset] = struct.unpack(">I", data[entry + 4 : entry + 8])
            data[offset : offset + 14] = b"curv" + struct.pack(">IIH", 0, 1, 256)
    return bytes(data).replace("sRGB".encode("utf-16-be"), "test".encode("utf-16-be"))


def test_embedded_profile_is_converted():
    grey = Image.new("RGB", (20, 20), (55, 55, 55))
    photo = read_photo(encoded(grey, "PNG", icc_profile=linear_profile()))
    expected = 255 * (1.055 * (55 / 255) ** (1 / 2.4) - 0.055)  # IEC 61966-2-1
    assert photo.getpixel((5, 5)) == pytest.approx((expected,) * 3, abs=1.5)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_unusable_profile_is_ignored(mode):
    grey = Image.new("RGB", (20, 20), (55, 55, 55)).convert(mode)
    for profile in (b"garbage", linear_profile()[:200]):
        photo = read_photo(encoded(grey, "TIFF", icc_profile=profile))
        assert photo.getpixel((5, 5)) == pytest.approx((55, 55, 55), abs=1)


def heic() -> bytes:
    return struct.pack(">I", 24) + b"ftypheic\x00\x00\x00\x00mif1heic" + bytes(200)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello, world" * 50, "not a picture"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b'<?xml version="1.0"?><svg/>', "SVG"),
        (b"%PDF-1.7 ...", "PDF"),
        (heic(), "HEIC"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n", "not a picture"),
        (b"\xff\xd8\xff\xe0", "not a picture|damaged"),
        (b"\x89PNG\r\n\x1a\n", "not a picture|damaged"),
        (b"GIF89a\x00\x00\x00\x00\x00\x00\x00", "only 0 x 0|damaged|not a picture"),
    ],
)
def test_what_is_no_picture_is_refused(content, reason):
    with pytest.raises(PhotoError, match=reason) as caught:
        read_photo(content)
    if "not a picture" in str(caught.value):
        assert "JPEG" in str(caught.value)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF", "JPEG2000"])
def test_truncated_is_refused(kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), dtype=np.uint8))
    content = encoded(noise, kind)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(PhotoError, match=r"damaged|not a picture"):
            read_photo(content[: int(len(content) * share)])


def test_flipped_bytes_are_read_or_refused(quarters):
    random = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"):
        for _ in range(30):
            content = np.frombuffer(encoded(quarters, kind), dtype=np.uint8).copy()
            places = random.integers(0, len(content), 6)
            content[places] = random.integers(0, 256, 6)
            with suppress(PhotoError):  # and no other exception
                assert read_photo(content.tobytes()).mode == "RGB"


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + body
        + struct.pack(">I", zlib.crc32(body))
        + struct.pack(">I", 9)
        + b"IDAT"
    )


@pytest.mark.parametrize("size", [(9000, 8000), (12000, 12000), (60000, 60000), (2**31 - 1, 40)])
def test_bombs_are_refused_by_their_header(size):
    with pytest.raises(PhotoError, match="64 million"):
        read_photo(bomb(*size))


def test_sizes_that_cannot_work(monkeypatch):
    with pytest.raises(PhotoError, match="only 8 x 200"):
        read_photo(encoded(Image.new("RGB", (8, 200)), "PNG"))
    with pytest.raises(PhotoError, match="elongated"):
        read_photo(encoded(Image.new("RGB", (2000, 20)), "PNG"))
    monkeypatch.setattr(photos, "PIXEL_LIMIT", 5000)
    with pytest.raises(PhotoError, match="100 x 100"):
        read_photo(encoded(Image.new("RGB", (100, 100)), "PNG"))


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize(
    ("most", "size"), [(720 * 400, (720, 400)), (90 * 50, (90, 50)), (64 * 36, (63, 35))]
)
def test_large_photographs_are_reduced(quarters, monkeypatch, kind, most, size):
    monkeypatch.setattr(photos, "KEPT_PIXELS", most)
    large = quarters.resize((720, 400))
    photo = read_photo(encoded(large, kind))
    assert photo.size == size
    assert_like(photo, [RED, GREEN, BLUE, WHITE], 20)


def test_missing_file_and_folder_are_refused_without_their_path(tmp_path):
    for place in (tmp_path / "secret.png", tmp_path):
        with pytest.raises(PhotoError, match="cannot be opened") as caught:
            read_photo(place)
        assert str(tmp_path) not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_tensors_and_pictures_round_trip():
    levels = np.arange(256 * 3).reshape(16, 16, 3) % 256
    picture = Image.fromarray(levels.astype(np.uint8))
    images = to_images(picture, 16)
    assert images.shape == (1, 3, 16, 16)
    assert (images.min(), images.max()) == (-1, 1)
    assert to_pil(images)[0].tobytes() == picture.tobytes()


def test_pictures_are_rounded_and_clipped():
    images = torch.tensor([-9.0, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 9.0])[:, None, None, None].expand(
        4, 3, 2, 2
    )
    assert [picture.getpixel((0, 0))[0] for picture in to_pil(images)] == [0, 0, 1, 255]  # type: ignore[index]


def test_other_sizes_are_resized(quarters):
    assert to_images(quarters, 24).shape == (1, 3, 24, 24)
