"""The square that a visitor draws on a photograph."""

import numpy as np
import pytest
from PIL import Image
from visiting import Heads, uploaded


def test_a_drawn_square_is_what_is_inverted(page, visit, photo):
    framed = uploaded(page, visit, photo, "hand")
    assert framed["crop"]["src"]
    assert framed["crop"]["square"] == pytest.approx([15 / 90, 0, 60 / 90])
    drawn = page.photograph.crop(visit, {"square": [0.5, 0.1, 0.3]})
    assert visit.photo.square == (45, 9, 72, 36)
    wanted = photo.resize((64, 64), Image.Resampling.LANCZOS, box=(45, 9, 72, 36))
    assert np.abs(np.asarray(visit.photo.crop, float) - np.asarray(wanted, float)).mean() < 1
    assert drawn["invert"].interactive
    again = page.photograph.frame(visit, "hand")  # the square is remembered
    assert again["crop"]["square"] == pytest.approx([0.5, 0.1, 0.3])


@pytest.mark.parametrize(
    "drawn",
    [
        None,
        {},
        {"square": "x"},
        {"square": [1, 2]},
        {"square": [float("nan"), 0, 1]},
        {"square": [10**400, 0, 1]},
        {"square": [True, 0, 1]},
        {"square": [-9, 99, 1e9]},
    ],
)
def test_what_is_no_square_within_the_photograph_becomes_one(page, visit, photo, drawn):
    uploaded(page, visit, photo, "hand")
    page.photograph.crop(visit, drawn)
    left, top, right, bottom = visit.photo.square
    assert 0 <= left < right <= 90
    assert 0 <= top < bottom <= 60
    assert right - left == bottom - top


def test_a_face_hides_the_cropper(page, visit, photo):
    page.models.editor("toy").aligner = Heads(heads=1)
    assert uploaded(page, visit, photo, "hand")["crop"]["src"]
    assert page.photograph.frame(visit, "hand")["crop"]["src"]
    aligned = page.photograph.frame(visit, "align")  # looked for only now
    assert not aligned["crop"]["src"]
    assert len(visit.photo.subjects) == 1
    assert not aligned["faces"].visible
    page.models.editor("toy").aligner = Heads(heads=3)
    uploaded(page, visit, photo, "hand")
    assert page.photograph.frame(visit, "align")["faces"].visible  # there is another one to choose
    assert "faces" not in page.photograph.frame(visit, "align")
