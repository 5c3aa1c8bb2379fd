"""Faces framed as in FFHQ: dlib finds them and their landmarks, `_framing` cuts the frame out.

Detector: histograms of oriented gradients (Dalal & Triggs, CVPR 2005), then, for what it misses, turned and
enlarged copies and a convolutional network (King, "Max-margin object detection", 2015).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from PIL import Image

from backends import face_landmarks, weights
from backends.aligners import Aligner, Subject
from backends.aligners._framing import of_face, sample
from backends.face_landmarks import LOCK, dlib
from backends.squares import Point, Square

COPY, TURNED_COPY, NETWORK_COPY = 1536, 960, 400  # longest side of the copies that are searched for faces of
# 80 pixels or more; the network takes 9 microseconds a pixel, the gradients 0.14
CLEAR, TURNED_CLEAR, NETWORK_CLEAR = 0.2, 0.4, 0.5  # scores from which a detection is a face: of 134 pictures
# without one none scored above 0 upright, or above 0.2 in any turn; 125 of 130 portraits are found upright
LEANS = {3: -np.pi / 6, 4: np.pi / 6}  # of the faces that the fourth and fifth of dlib's five detectors find
TILT = 0.15  # radians by which a face may lean in its box when its landmarks are read
CHIP = 384  # side of the upright copy of one face that the landmarks are read from, pixels
CHIP_FACE = 0.5  # side of the detection box in that copy, in units of the copy's


@dataclass
class Landmarks(Aligner):
    """The FFHQ crop around faces.

    With `points: 68` frames are where FFHQ's are (0.8 % of the side off, median, on generated FFHQ faces) but
    the model is for research only; with 5 it is public domain, and frames are off by twice as much.
    """

    points: int = 68  # landmarks per face: 68 (weights for research only) or 5 (public domain)
    tolerance: float = 0.03  # a square picture framed within this many sides of FFHQ's frame is left as it is
    search: bool = True  # for smaller, turned and half-hidden faces where no upright one is clear (seconds)

    def __post_init__(self) -> None:
        if self.points not in (5, 68):
            raise ValueError(f"points must be 68 or 5, it is {self.points}")
        if not 0 <= self.tolerance < 0.5:
            raise ValueError(f"tolerance must be at least 0 and below 0.5, it is {self.tolerance}")

    def required(self) -> list[str]:
        return [f"face_landmarks_{self.points}", *(["face_detector"] if self.search else [])]

    def detect(self, photo: Image.Image) -> list[Subject]:
        """Faces of an upright RGB photograph, largest first; landmarks are in continuous pixels (`_framing`).

        Raises WeightsError when a model is missing and cannot be fetched.
        """
        for attempt in self._attempts():
            boxes = sorted(_distinct(attempt(photo)), key=lambda box: -box.side)
            if boxes:
                return [self._subject(photo, box) for box in boxes]
        return []

    def frame(self, photo: Image.Image, subject: Subject) -> Square:
        """The FFHQ frame; the whole of `photo` where that is the frame already.

        A subject without landmarks is a box that someone drew around a face.
        """
        if not subject.landmarks:
            subject = self._subject(photo, Square.of_box(subject.box))
        frame = of_face(subject.landmarks)
        whole = Square.of_box((0, 0, *photo.size))
        offset = np.abs(frame.corners - whole.corners).max() / whole.side
        return whole if photo.width == photo.height and offset <= self.tolerance else frame

    def _attempts(self) -> Iterator[Callable[[Image.Image], list[Square]]]:
        """Ways to look for faces, cheapest first."""
        yield lambda photo: self._upright(photo, COPY, enlarge=2)
        if self.search:
            yield self._turned
            yield lambda photo: self._upright(photo, 2 * COPY, enlarge=4)
            yield self._network

    def _upright(self, photo: Image.Image, longest: int, enlarge: int) -> list[Square]:
        copy, back = _copy(photo, longest, enlarge)
        return [box.moved((0, 0), back) for box, _ in self._gradients(copy, CLEAR)]

    def _turned(self, photo: Image.Image) -> list[Square]:
        """Faces in that turn, out of eight, which shows the clearest one; with room around tight crops."""
        copy, back = _copy(photo, TURNED_COPY, enlarge=2)
        width, height = copy.size
        best, found = TURNED_CLEAR, []
        for angle in np.arange(8) * np.pi / 4:
            x, y = np.cos(angle), np.sin(angle)
            half = 0.55 * max(width * abs(x) + height * abs(y), width * abs(y) + height * abs(x))
            view = Square((width / 2, height / 2), (half * x, half * y))
            faces = self._gradients(sample(copy, view, TURNED_COPY), best)
            if faces:
                best = max(score for _, score in faces)
                found = [_within(view, box).moved((0, 0), back) for box, _ in faces]
        return found

    def _gradients(self, copy: Image.Image, clear: float) -> list[tuple[Square, float]]:
        """Boxes and scores of the faces in `copy`, without those that score below `clear`."""
        with LOCK:
            boxes, scores, kinds = self._detector.run(np.asarray(copy), 0, clear)
        leans = [LEANS.get(kind, 0.0) for kind in kinds]
        return [(_square(*face), score) for *face, score in zip(boxes, leans, scores, strict=True)]

    def _network(self, photo: Image.Image) -> list[Square]:
        copy, back = _copy(photo, NETWORK_COPY, enlarge=2)
        with LOCK:
            faces = self._second_detector(np.asarray(copy), 0)
        boxes = [_square(face.rect) for face in faces if face.confidence >= NETWORK_CLEAR]
        return [box.moved((0, 0), back) for box in boxes]

    def _subject(self, photo: Image.Image, box: Square) -> Subject:
        """Landmarks of the face in `box`; read anew, in a turned box, of a face that is tilted in it."""
        points = self._landmarks(photo, box)
        for _ in range(3):
            axis = np.array(of_face(_pairs(points)).axis)
            axis *= box.side / 2 / np.hypot(*axis)
            if np.hypot(*(axis - box.axis)) < TILT * box.side / 2:
                break
            box = Square(box.center, tuple(axis.tolist()))
            points = self._landmarks(photo, box)
        low, high = box.corners.min(0).clip(0), box.corners.max(0).clip(0)
        left, top = (int(v) for v in np.floor(low))
        right, bottom = (int(v) for v in np.minimum(np.ceil(high), photo.size))
        return Subject((left, top, right, bottom), _pairs(points))

    def _landmarks(self, photo: Image.Image, box: Square) -> Float[ndarray, "points 2"]:
        """Read in an upright copy of the face, always of the same size: as fine for every photograph."""
        x, y = box.axis
        chip = Square(box.center, (x / CHIP_FACE, y / CHIP_FACE))
        low, high = round(CHIP * (1 - CHIP_FACE) / 2), round(CHIP * (1 + CHIP_FACE) / 2)
        points = face_landmarks.read(sample(photo, chip, CHIP), (low, low, high, high), self.points)
        return chip.to_photo(points / CHIP)

    @cached_property
    def _detector(self) -> Any:
        return dlib.get_frontal_face_detector()

    @cached_property
    def _second_detector(self) -> Any:
        return dlib.cnn_face_detection_model_v1(str(weights.path("face_detector")))


def _copy(photo: Image.Image, longest: int, enlarge: int) -> tuple[Image.Image, Point]:
    """The photograph with its longest side `longest`, enlarged at most so often, and the scale back to it."""
    scale = min(enlarge, longest / max(photo.size))
    width, height = (max(1, round(scale * extent)) for extent in photo.size)
    copy = photo.resize((width, height), Image.Resampling.BICUBIC, reducing_gap=3)
    return copy, (photo.width / width, photo.height / height)


def _distinct(boxes: list[Square]) -> list[Square]:
    """Without boxes on a face that a clearer one, earlier in the list, has found already."""
    kept: list[Square] = []
    for box in boxes:
        if all(math.dist(box.center, one.center) > max(box.side, one.side) / 2 for one in kept):
            kept.append(box)
    return kept


def _square(box: Any, lean: float = 0.0) -> Square:
    """A dlib rectangle (its last pixel included), turned about its centre."""
    square = Square.of_box((box.left(), box.top(), box.right() + 1, box.bottom() + 1))
    half = square.side / 2
    return Square(square.center, (half * float(np.cos(lean)), half * float(np.sin(lean))))


def _within(view: Square, box: Square) -> Square:
    """`box`, given in pixels of a sample of `view`, in the photograph."""
    center, right = view.to_photo(np.array([box.center, np.add(box.center, box.axis)]) / TURNED_COPY)
    return Square(tuple(center.tolist()), tuple((right - center).tolist()))


def _pairs(points: Float[ndarray, "points 2"]) -> tuple[Point, ...]:
    return tuple((float(x), float(y)) for x, y in points)
