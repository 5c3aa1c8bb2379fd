"""A page without a server: its handlers, a store of links, one visitor, a photograph."""

import numpy as np
import pytest
from PIL import Image
from visiting import PANEL, Desk, Steps

from sharing import ShareStore
from ui.state import Visit


@pytest.fixture
def page(tmp_path):
    page = Desk(ShareStore(tmp_path / "shares"))
    page.models.editor("toy").inverters["steps"] = Steps()
    return page


@pytest.fixture
def models(page):
    return page.models


@pytest.fixture
def visit():
    return Visit("toy", "toy", PANEL)


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    return Image.fromarray(pixels)
