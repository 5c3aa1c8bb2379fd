"""dlib's landmarks of a face: an ensemble of regression trees (Kazemi & Sullivan, CVPR 2014)."""

from functools import lru_cache
from importlib import import_module
from threading import RLock
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from backends import weights

dlib: Any = import_module("dlib")  # it has no type hints
LOCK = RLock()  # dlib keeps scratch memory between calls: one thread at a time


@lru_cache(maxsize=2)
def _predictor(points: int) -> Any:
    return dlib.shape_predictor(str(weights.path(f"face_landmarks_{points}")))


def read(picture: Image.Image, box: tuple[int, int, int, int], points: int) -> Float[ndarray, "points 2"]:
    """(x, y) of the 68 or 5 landmarks of the upright face in `box` (left, top, right, bottom, pixels).

    Coordinates are continuous, as in `aligners/_framing.py`. Raises WeightsError without the model.
    """
    left, top, right, bottom = box
    with LOCK:
        shape = _predictor(points)(np.asarray(picture), dlib.rectangle(left, top, right - 1, bottom - 1))
    return np.array([(p.x + 0.5, p.y + 0.5) for p in shape.parts()])
