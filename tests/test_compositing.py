"""The edited crop back in the photograph: geometry, bytes that stay, sharpness, memory."""

import numpy as np
import pytest
import torch
from bounded import bounded
from PIL import Image

from backends import compositing
from backends.aligners._framing import cut
from backends.compositing import Paste, blended, survival
from backends.photos import to_images
from backends.squares import Square

SQUARES = {  # in a photograph of 301 x 283 pixels
    "tilted": Square((150.0, 140.0), (80.0, 31.0)),
    "upside down": Square((140.3, 141.7), (-90.2, -12.0)),
    "partly outside": Square((40.0, 250.0), (90.0, -20.0)),
    "upright": Square((150.5, 141.0), (64.0, 0.0)),
    "larger than the photograph": Square((150.0, 141.0), (260.0, 40.0)),
    "tiny": Square((20.4, 22.6), (7.0, 1.0)),
}
every_square = pytest.mark.parametrize("square", SQUARES.values(), ids=SQUARES.keys())
ALL = torch.ones(32, 32)


def waves(size, phase=0.0):
    """Smooth colours, different everywhere."""
    x, y = np.meshgrid(np.arange(size[0]) / 300, np.arange(size[1]) / 300)
    colours = [np.sin(7 * x + 2 * y + phase), np.cos(5 * y - x + 2 * phase), np.sin(4 * x * y + 1 - phase)]
    return Image.fromarray(np.rint(127.5 + 100 * np.stack(colours, -1)).astype(np.uint8))


@pytest.fixture(scope="module")
def photo():
    return waves((301, 283))


def crop(photo, square, size):
    return to_images(cut(photo, square, size), size)


def pasted(photo, *paste):
    return Paste(*paste).onto(photo)


def levels(photo):
    return np.asarray(photo, dtype=float)


def places(square, size):
    """Where the photograph's pixels are in the square, 0 to 1."""
    x, y = np.meshgrid(np.arange(size[0]) + 0.5, np.arange(size[1]) + 0.5)
    return square.from_photo(np.stack([x.ravel(), y.ravel()], 1)).reshape(*x.shape, 2)


@every_square
@pytest.mark.parametrize("size", [64, 129])
def test_an_unchanged_crop_leaves_the_photograph(photo, square, size):
    before = crop(photo, square, size)
    assert pasted(photo, square, before, before.clone(), ALL).tobytes() == photo.tobytes()
    after = before.clone()
    after[..., 0, 0] += 0.01  # no shortcut: everything is computed, and this corner is no visible change
    assert pasted(photo, square, before, after, ALL).tobytes() == photo.tobytes()


@every_square
@pytest.mark.parametrize("size", [48, 160, 501])
def test_a_crop_goes_back_where_it_came_from(photo, square, size):
    """Cut out of another photograph, it brings that one's pixels to their own places."""
    other = waves(photo.size, phase=0.6)
    result = pasted(photo, square, crop(photo, square, size), crop(other, square, size), ALL)
    at = places(square, photo.size)
    deep = ((at > 0.08) & (at < 0.92)).all(-1)
    if (square.corners.min(0) < 0).any() or (square.corners.max(0) > photo.size).any():
        away = round(
            0.12 * square.side
        )  # from the photograph's edges, where a crop that crosses them is blurred
        deep[:away] = deep[-away:] = deep[:, :away] = deep[:, -away:] = False
    assert deep.any()
    assert np.abs(levels(result) - levels(other))[deep].max() < 7  # a pixel is 5 levels
    beyond = ((at < 0) | (at > 1)).any(-1)
    assert (np.asarray(result)[beyond] == np.asarray(photo)[beyond]).all()


def test_the_photograph_stays_where_the_mask_is_zero(photo):
    square, mask = SQUARES["tilted"], torch.zeros(32, 32)
    mask[8:20, 8:20] = 1
    before = crop(photo, square, 96)
    result = np.asarray(pasted(photo, square, before, -before, mask))
    at = places(square, photo.size) * 32
    far = ((at < 6.5) | (at > 21.5)).any(-1)
    assert (result[far] == np.asarray(photo)[far]).all()
    near = ((at > 10) & (at < 18)).all(-1)
    assert np.abs(levels(result) + levels(photo) - 255)[near].max() < 9


def test_the_mask_closes_where_the_photograph_goes_on(photo):
    """Towards the left and the lower edge of the photograph, which the square crosses, it stays open."""
    square = Square((60.0, 233.0), (75.0, 0.0))
    before = torch.zeros(1, 3, 100, 100)
    change = levels(pasted(photo, square, before, before + 0.2, ALL)) - levels(photo)
    inside = change[158:283, 0:135].mean(-1)
    np.testing.assert_allclose(inside[10:, :-10], 25.5, atol=1)
    assert abs(inside[:, -1]).max() < 6
    assert abs(inside[0]).max() < 6
    assert np.abs(np.diff(inside, axis=1)).max() < 8


def test_odd_sizes_and_squares_of_any_size():
    for size in ((17, 301), (301, 17), (33, 34)):
        photo = waves(size)
        for half in (3.0, 16.3, 400.0):
            square = Square((size[0] / 2, size[1] / 2), (half, 0.1))
            before = torch.zeros(1, 3, 37, 37)
            result = pasted(photo, square, before, before + 0.1, torch.ones(9, 9))
            assert result.size == photo.size
            assert np.abs(levels(result) - levels(photo)).max() <= 14


def test_a_square_elsewhere_changes_nothing(photo):
    before = torch.zeros(1, 3, 8, 8)
    result = pasted(photo, Square((900.0, 40.0), (50.0, 3.0)), before, before + 1, ALL)
    assert result is not photo
    assert result.tobytes() == photo.tobytes()


def fine(photo):
    """The same with detail that a crop of half its side cannot hold."""
    stripes = 20 * (-1.0) ** np.arange(photo.width)[None, :, None]
    return Image.fromarray((levels(photo) + stripes).clip(0, 255).astype(np.uint8))


def detail(photo):
    """How strong the stripes are, place by place."""
    return np.abs(np.diff(levels(photo), axis=1)).mean(-1)


def test_another_colour_keeps_the_sharpness_of_the_photograph(photo):
    sharp, square = fine(photo), Square((150.0, 140.0), (110.0, 0.0))
    before = crop(sharp, square, 64)
    result = pasted(sharp, square, before, before * 0.9 + 0.05, ALL)
    inside = (slice(60, 220), slice(60, 240))
    assert detail(result)[inside].mean() > 0.9 * detail(sharp)[inside].mean()


def test_what_moves_leaves_no_ghost_of_its_detail():
    """A patch of noise, with stripes that only the photograph shows, goes away: they do, too."""
    noise = np.random.default_rng(0).integers(60, 190, (32, 32, 3), np.uint8)
    ground = Image.new("RGB", (256, 256), (120, 120, 120))
    patched = ground.copy()
    patched.paste(Image.fromarray(noise).resize((96, 96), Image.Resampling.BICUBIC), (80, 80))
    sharp, square = fine(patched), Square((128.0, 128.0), (128.0, 0.0))
    before, after = (crop(picture, square, 128) for picture in (patched, ground))
    change = after - before
    result = pasted(sharp, square, before, before + change, ALL)
    inside = (slice(95, 160), slice(95, 160))
    assert detail(result)[inside].mean() < 0.35 * detail(sharp)[inside].mean()
    assert detail(result)[220:, :].mean() > 0.95 * detail(sharp)[220:, :].mean()


def test_survival_is_one_without_a_change_and_about_one_for_colours():
    picture = torch.rand(1, 3, 96, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    assert (survival(picture, picture.clone()) == 1).all()
    assert survival(picture, picture + 0.3).min() > 0.99
    assert survival(picture, picture.roll(9, 3)).mean() < 0.2


def test_the_crop_alone(photo):
    before, after = (crop(each, SQUARES["tilted"], 64) for each in (photo, waves(photo.size, 0.6)))
    mask = torch.zeros(16, 16)
    mask[4:12, 4:12] = 1
    result = blended(before, after, mask)
    assert torch.equal(result[..., :8], before[..., :8])
    torch.testing.assert_close(result[..., 24:40, 24:40], after[..., 24:40, 24:40])
    assert torch.equal(blended(before, before, mask), before)


def test_one_face_after_the_other(photo):
    """Apart, they do not know of each other."""
    pastes = []
    for center in ((80.0, 140.0), (220.0, 140.0)):
        before = torch.zeros(1, 3, 32, 32)
        pastes.append(Paste(Square(center, (55.0, 12.0)), before, before + 0.3, ALL))
    both = pastes[1].onto(pastes[0].onto(photo))
    assert both.tobytes() == pastes[0].onto(pastes[1].onto(photo)).tobytes()
    one = np.asarray(pastes[0].onto(photo))
    assert (np.asarray(both)[:, :135] == one[:, :135]).all()
    assert (np.asarray(both)[:, 160:] != one[:, 160:]).any()


def test_strips_are_one_picture(photo, monkeypatch):
    square = SQUARES["tilted"]
    before, after = (crop(each, square, 64) for each in (photo, waves(photo.size, 0.6)))
    whole = pasted(photo, square, before, after, ALL)
    monkeypatch.setattr(compositing, "STRIP", 2000)
    assert pasted(photo, square, before, after, ALL).tobytes() == whole.tobytes()


def test_24_megapixels_take_little_more_memory_than_their_copy():
    photo = Image.new("RGB", (6000, 4000), (90, 120, 150))
    before = torch.zeros(1, 3, 1024, 1024)
    paste = Paste(Square((3000.0, 2000.0), (1900.0, 300.0)), before, before + 0.25, ALL)
    paste.onto(photo.crop((0, 0, 600, 400)))  # what is loaded only once
    with bounded(megabytes=96 + 260, seconds=120):  # a copy of it has four bytes a pixel
        result = paste.onto(photo)
    assert result.getpixel((0, 0)) == (90, 120, 150)
    assert result.getpixel((3000, 2000)) == (122, 152, 182)
