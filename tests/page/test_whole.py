"""The whole photograph on the page: what is shown, one face after the other, the file to download."""

import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from visiting import Heads, inverted, moved, pixels, png, started, uploaded

from ui.state import SHOWN, Photo, Visits
from ui.widgets import CROP, WHOLE


@pytest.fixture
def photo():
    """Smooth, so that JPEG changes little."""
    small = np.random.default_rng(0).integers(40, 215, (5, 8, 3), np.uint8)
    return Image.fromarray(small).resize((240, 100), Image.Resampling.BICUBIC)


@pytest.fixture
def page(page):
    page.models.editor("toy").aligner = Apart()
    return page


class Apart(Heads):
    """Two heads, left and right."""

    def detect(self, photo):
        return [
            replace(each, box=(10 + 130 * i, 5, 90 + 130 * i, 85))
            for i, each in enumerate(super().detect(photo))
        ]


def levels(photo):
    return np.asarray(photo, dtype=float)


def downloaded(page, visit):
    file = page.saving.picture(visit)["download"]
    return Image.open(io.BytesIO(base64.b64decode(file["data"])))


def test_the_whole_photograph_is_the_first_thing_shown(page, visit, photo):
    shown = inverted(page, visit, photo)[-1]
    assert shown["whole"].visible
    for figure in ("original", "edited"):
        assert shown[figure]["of"] == WHOLE
        assert pixels(shown[figure]).shape == (100, 240, 3)
    assert np.abs(pixels(shown["edited"]) - levels(photo)).max() < 12  # JPEG
    assert shown["inversion"]["of"] == CROP
    for held in (True, False):
        edited = moved(page, visit, 2.5, preview=held)["edited"]
        assert edited["of"] == WHOLE
        assert pixels(edited).shape == ((50, 120, 3) if held else (100, 240, 3))
        wanted = photo.resize((120, 50)) if held else photo
        change = np.abs(pixels(edited) - levels(wanted)) / (1 + held)  # whose colours JPEG halves
        assert change[:, wanted.width * 11 // 24 :].max() < 20
        assert (
            change[
                wanted.height // 5 : wanted.height * 7 // 10, wanted.width // 10 : wanted.width * 3 // 10
            ].mean()
            > 4
        )
    assert "+2.5" in edited["alt"]


def test_the_face_alone_and_back(page, visit, photo):
    inverted(page, visit, photo)
    moved(page, visit, 2.5)
    face = page.sliders.show(visit, CROP)
    assert {face[figure]["of"] for figure in ("original", "inversion", "edited")} == {CROP}
    assert pixels(face["edited"]).shape == pixels(face["original"]).shape == (64, 64, 3)
    assert downloaded(page, visit).size == (64, 64)
    again = page.sliders.show(visit, WHOLE)
    assert pixels(again["edited"]).shape == (100, 240, 3)


def test_what_is_not_from_a_photograph_has_no_whole(page, visit, photo):
    assert not started(page, visit)["whole"].visible
    inverted(page, visit, photo)
    assert not started(page, visit)["whole"].visible
    assert moved(page, visit, 1.0)["edited"]["of"] == CROP
    assert downloaded(page, visit).size == (64, 64)


def test_the_download_is_the_photograph_in_its_own_size(page, visit, photo):
    inverted(page, visit, photo)
    assert downloaded(page, visit).tobytes() == photo.tobytes()
    moved(page, visit, 2.5)
    result = downloaded(page, visit)
    assert result.format == "PNG"
    assert (np.asarray(result)[:, 110:] == np.asarray(photo)[:, 110:]).all()
    assert np.abs(levels(result) - levels(photo))[20:70, 25:75].mean() > 5


def test_a_photograph_that_is_no_png_becomes_a_jpeg(page, visit, photo):
    buffer = io.BytesIO()
    photo.save(buffer, "WEBP", lossless=True)
    page.photograph.detect(visit, buffer.getvalue(), photo, "align")
    list(page.photograph.invert(visit, "steps", 4))
    result = downloaded(page, visit)
    assert result.format == "JPEG"
    assert np.abs(levels(result) - levels(photo)).max() < 8


def test_one_face_after_the_other(page, visit, photo):
    inverted(page, visit, photo)
    moved(page, visit, 2.5)
    first = downloaded(page, visit)
    page.photograph.pick(visit, 1)
    assert visit.work is None
    assert visit.photo.image.tobytes() == first.tobytes()
    list(page.photograph.invert(visit, "steps", 4))
    assert downloaded(page, visit).tobytes() == first.tobytes()
    moved(page, visit, -2.5)
    both = downloaded(page, visit)
    assert (np.asarray(both)[:, :95] == np.asarray(first)[:, :95]).all()
    assert np.abs(levels(both) - levels(first))[20:70, 155:205].mean() > 5
    shown = page.sliders.show(visit, WHOLE)["edited"]
    assert np.abs(pixels(shown) - levels(both)).mean() < 2
    assert np.abs(pixels(page.sliders.reset(visit)["edited"]) - levels(first)).mean() < 2


def test_a_face_without_an_edit_leaves_nothing_behind(page, visit, photo):
    inverted(page, visit, photo)
    page.photograph.pick(visit, 1)
    assert visit.photo.patches == ()


def test_patches_count_as_memory(page, visit, photo):
    inverted(page, visit, photo)
    before = visit.photo.size
    moved(page, visit, 2.5)
    page.photograph.pick(visit, 1)
    assert visit.photo.size >= before + 4 * 70 * 70


def test_large_photographs_are_shown_reduced(page, visit, photo):
    large = photo.resize((3000, 1250))
    shown = inverted(page, visit, large)[-1]
    assert pixels(shown["edited"]).shape[1] == SHOWN
    edited = moved(page, visit, 2.5, preview=True)["edited"]
    assert pixels(edited).shape[1] == SHOWN // 2
    assert downloaded(page, visit).size == large.size


def test_a_photograph_that_was_forgotten_is_still_shown(page, visit, photo):
    """There was no room for it: the picture goes on, small."""
    inverted(page, visit, photo)
    visit.photo = None
    assert pixels(moved(page, visit, 2.5)["edited"]).shape == (100, 240, 3)
    assert downloaded(page, visit).size == (64, 64)
    page.sliders.show(visit, CROP)


def test_views_before_the_edit_are_few_and_used_again(page, visit, photo, monkeypatch):
    inverted(page, visit, photo)
    asked = []
    editor = page.models.editor("toy")
    view = editor.view
    monkeypatch.setattr(editor, "view", lambda *args: asked.append(args[1]) or view(*args))
    for value in (0.5, 1.0, 1.5):
        moved(page, visit, value, preview=True)
    assert asked.count(None) == 1
    assert len(asked) == 4
    for _ in range(6):
        uploaded(page, visit, photo)
        list(page.photograph.invert(visit, "steps", 1))
        moved(page, visit, 1.0)
    assert len(page.models._zero) <= 4


def test_photographs_with_patches_still_expire():
    visits = Visits(room=100)
    visits.get("one").photo = Photo(png(Image.new("RGB", (90, 90))))
    visits.get("two").photo = Photo(b"x" * 60)
    visits.expire()
    assert visits.get("one").photo is None
