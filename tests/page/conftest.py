"""A page without a server: its handlers, a store of links, a photograph."""

import numpy as np
import pytest
from PIL import Image
from visiting import CONFIGS, Steps

from sharing import ShareStore
from ui.handlers import Handlers
from ui.keeping import Keeping
from ui.photographs import Photographs


@pytest.fixture
def handlers():
    handlers = Handlers(CONFIGS)
    handlers.editor("toy").inverters["steps"] = Steps()
    return handlers


@pytest.fixture
def page(handlers):
    return Photographs(handlers)


@pytest.fixture
def keeping(handlers, tmp_path):
    return Keeping(handlers, ShareStore(tmp_path / "shares"))


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    return Image.fromarray(pixels)
