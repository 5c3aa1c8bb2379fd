"""How a head is turned, from landmarks in an FFHQ-aligned picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from backends import Images, face_landmarks
from backends.losses import resize
from backends.photos import to_pil
from evaluation.scorers import Scorer

SIDE = 256  # pixels of the picture that landmarks are read from
# dlib's detection (left, top, right, bottom) in FFHQ-aligned pictures: their faces are all at the same place
BOX = (49, 77, 208, 230)
DEPTH = 0.55  # how far the tip of the nose stands out, in distances of the outer corners of the eyes
MIDDLE = 0.3125  # height of the tip between the eyes (0) and the chin (1), looking ahead: CelebA's median


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
        pictures = to_pil(resize(images, SIDE))
        found = [angles(face_landmarks.read(picture, BOX, 68)) for picture in pictures]
        return torch.tensor(np.stack(found), dtype=torch.float32)


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
