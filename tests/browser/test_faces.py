"""The story on real faces, with the photograph of an astronaut that scikit-image ships."""

import numpy as np
import pytest
from PIL import Image

from editor import CONFIGS

pytestmark = [pytest.mark.browser, pytest.mark.weights, pytest.mark.slow]

STEPS = 6


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory):
    data = pytest.importorskip("skimage.data", reason="scikit-image ships the photograph")
    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return path


def test_an_astronaut_is_aligned_inverted_and_edited(serve, visit, tmp_path, astronaut):
    from test_story import bar, crop_alone, drag, pixels, source, tab, upload

    page = visit(serve(CONFIGS, tmp_path / "shares").url).page
    upload(page, astronaut)
    page.locator("#original img.shown[src^='data:']").wait_for()
    assert pixels(page, "original").shape == (1024, 1024, 3)
    page.get_by_text("Inversion settings").click()
    steps = page.locator("#steps input[type=number]")
    steps.fill(str(STEPS))
    steps.blur()
    page.locator("#invert:not([disabled])").click()
    page.locator("#status", has_text="Inverting: step").wait_for()
    page.locator("#inversion img.shown[src^='data:']").wait_for()
    early = pixels(page, "inversion")
    page.locator("#status", has_text="Inverted after").wait_for(timeout=600_000)
    assert pixels(page).shape == pixels(page, "original").shape == (512, 512, 3)  # the whole photograph
    crop_alone(page)
    inversion, original = pixels(page, "inversion"), pixels(page, "original")
    assert inversion.shape == (1024, 1024, 3)
    if early.shape == (512, 512, 3):  # even few steps lead from the average face towards the photograph
        small = [each.reshape(512, 2, 512, 2, 3).mean((1, 3)) for each in (inversion, original)]
        assert np.abs(small[0] - small[1]).mean() < np.abs(early - small[1]).mean()
    bar(page, 0).wait_for()
    before = source(page)
    drag(page, 0, 0.9, full=1024)
    assert source(page) != before
    tab(page, "Save")
    page.locator("#share").click()
    page.locator("#link").wait_for()


def test_a_picture_without_a_face_offers_the_centre_crop(serve, visit, tmp_path):
    from test_story import upload

    path = tmp_path / "wall.png"
    Image.new("RGB", (400, 300), (120, 130, 140)).save(path)
    page = visit(serve(CONFIGS, tmp_path / "shares").url).page
    upload(page, path)
    page.locator("#status", has_text="No face was found").wait_for()
    assert page.locator("#invert").is_disabled()
    page.get_by_label("As it is: crop by hand").check()
    page.locator("#invert:not([disabled])").wait_for()
    page.locator("#original img.shown[src^='data:']").wait_for()
