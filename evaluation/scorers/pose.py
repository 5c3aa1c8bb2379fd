"""How a head is turned, from landmarks in an FFHQ-aligned picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import RLock
from typing import Any

import dlib
import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from backends import Images, weights
from backends.losses import resize
from backends.photos import to_pil
from evaluation.scorers import Scorer

SIDE = 256  # pixels of the picture that landmarks are read from
# dlib's detection in FFHQ-aligned pictures, fractions of the side: faces there are always at the same place
LEFT, TOP, RIGHT, BOTTOM = 0.19, 0.30, 0.81, 0.895
DEPTH = 0.55  # how far the tip of the nose stands out, in distances of the outer corners of the eyes
MIDDLE = 0.3125  # height of the tip between the eyes (0) and the chin (1), looking ahead: CelebA's median
LOCK = RLock()  # of dlib's predictor: one thread at a time


@dataclass
class Pose(Scorer):
    """Yaw, pitch and roll in degrees, for weak perspective and an average head (a few degrees exact).

    Yaw: the tip of the nose leaves the middle of the eyes by DEPTH tan(yaw) of their distance; positive when
    the face turns to the right of the picture. Pitch: the same vertically; positive looks up. Roll: positive
    is clockwise.
    """

    @property
    def names(self) -> list[str]:
        return ["yaw", "pitch", "roll"]

    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        found = [angles(self._landmarks(np.asarray(picture))) for picture in to_pil(resize(images, SIDE))]
        return torch.tensor(np.stack(found), dtype=torch.float32)

    def _landmarks(self, picture: ndarray) -> Float[ndarray, "68 2"]:
        box = dlib.rectangle(*(round(SIDE * edge) for edge in (LEFT, TOP, RIGHT, BOTTOM)))  # type: ignore[attr-defined]
        with LOCK:
            shape = self._predictor(picture, box)
        return np.array([(p.x, p.y) for p in shape.parts()], dtype=float)

    @cached_property
    def _predictor(self) -> Any:
        return dlib.shape_predictor(str(weights.path("face_landmarks_68")))  # type: ignore[attr-defined]


def angles(landmarks: Float[ndarray, "68 2"]) -> Float[ndarray, " 3"]:
    """Yaw, pitch, roll, degrees, of dlib's 68 landmarks."""
    left, right, tip, chin = landmarks[36], landmarks[45], landmarks[30], landmarks[8]
    across = right - left
    roll = math.atan2(across[1], across[0])
    upright = np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])
    width = float(np.hypot(*across)) or 1.0
    nose = upright @ (tip - (left + right) / 2) / width
    height = float((upright @ (chin - (left + right) / 2))[1]) / width
    yaw = math.atan2(nose[0], DEPTH)
    pitch = math.atan2(MIDDLE * height - nose[1], DEPTH)
    return np.degrees([yaw, pitch, roll])
