"""The whole photograph in a real browser: shown first, compared with its like, downloaded in its size."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_story import changed, drag, invert, pixels, source, tab

pytestmark = pytest.mark.browser

TOY = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "photo.png"
    small = np.random.default_rng(0).integers(40, 215, (5, 8, 3), np.uint8)
    Image.fromarray(small).resize((600, 200), Image.Resampling.BICUBIC).save(path)
    return path


def test_whole_photograph_and_face(serve, tmp_path_factory, visit, photograph, tmp_path):
    page = visit(serve(TOY, tmp_path_factory.mktemp("shares")).url).page
    assert not page.locator("#whole").is_visible()
    invert(page, photograph, whole=True)
    assert pixels(page).shape == (200, 600, 3)
    assert page.get_by_role("button", name="vs original").is_enabled()
    assert page.get_by_role("button", name="vs inversion").is_disabled()
    before = source(page)
    drag(page, 0, 0.9, full=600, held=100)
    assert source(page) != before
    tab(page, "Save")
    with page.expect_download() as download:
        page.locator("#png").click()
    download.value.save_as(tmp_path / "whole.png")
    result, original = (np.asarray(Image.open(file)) for file in (tmp_path / "whole.png", photograph))
    assert result.shape == original.shape
    assert (result[:, :190] == original[:, :190]).all()
    assert (result != original).any()
    whole = source(page)
    page.get_by_label("Only this").check()
    changed(page, whole)
    assert pixels(page).shape == (64, 64, 3)
    assert page.get_by_role("button", name="vs inversion").is_enabled()
    page.get_by_label("Whole photo").check()
    page.wait_for_function("document.querySelector('#edited img.shown').naturalWidth === 600")
