"""The square that a visitor draws on a photograph."""

import numpy as np
import pytest
from PIL import Image
from visiting import Heads


def test_a_drawn_square_is_what_is_inverted(page, photo):
    framed = page.detect(photo, "toy", "center")
    assert framed["crop"]["src"]
    assert framed["crop"]["square"] == pytest.approx([15 / 90, 0, 60 / 90])
    drawn = page.crop(framed["photo"], "toy", {"square": [0.5, 0.1, 0.3]})
    assert drawn["photo"].square == (45, 9, 72, 36)
    wanted = photo.resize((64, 64), Image.Resampling.LANCZOS, box=(45, 9, 72, 36))
    assert np.abs(np.asarray(drawn["photo"].crop, float) - np.asarray(wanted, float)).mean() < 1
    again = page.frame(drawn["photo"], "toy", "center")  # the square is remembered
    assert again["crop"]["square"] == pytest.approx([0.5, 0.1, 0.3])
    assert drawn["invert"].interactive


@pytest.mark.parametrize(
    "drawn",
    [
        None,
        {},
        {"square": "x"},
        {"square": [1, 2]},
        {"square": [float("nan"), 0, 1]},
        {"square": [-9, 99, 1e9]},
    ],
)
def test_what_is_no_square_within_the_photograph_becomes_one(page, photo, drawn):
    left, top, right, bottom = page.crop(page.detect(photo, "toy", "center")["photo"], "toy", drawn)[
        "photo"
    ].square
    assert 0 <= left < right <= 90
    assert 0 <= top < bottom <= 60
    assert right - left == bottom - top


def test_a_face_hides_the_cropper(handlers, page, photo):
    handlers.editor("toy").aligner = Heads(heads=1)
    by_hand = page.frame(page.detect(photo, "toy", "center")["photo"], "toy", "center")
    assert by_hand["crop"]["src"]
    aligned = page.frame(by_hand["photo"], "toy", "align")  # looked for only now
    assert not aligned["crop"]["src"]
    assert len(aligned["photo"].subjects) == 1
