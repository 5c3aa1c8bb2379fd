"""Aligner: a photograph -> the square crop a generator was trained on. The contract of this folder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from backends import Backend
from config import UserError


class AlignmentError(UserError):
    """A photograph that cannot be aligned; the message says what would work instead."""


@dataclass(frozen=True)
class Subject:
    """One thing in the photograph that can be edited (a face, a cat's head)."""

    box: tuple[int, int, int, int]  # left, top, right, bottom, pixels of the upright photograph
    landmarks: tuple[tuple[float, float], ...] = ()  # (x, y) in the same pixels


class Aligner(Backend, ABC):
    """Fields of a concrete aligner are its YAML settings; models load on first use."""

    detects: ClassVar[bool] = True  # whether `detect` looks for something, or takes any picture as it is

    @abstractmethod
    def detect(self, photo: Image.Image) -> list[Subject]:
        """The subjects of an upright RGB photograph, largest first; empty when there are none."""

    @abstractmethod
    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        """The square of `size` x `size` pixels around `subject`, framed as the training data was."""

    def square(self, photo: Image.Image, box: tuple[int, int, int, int], size: int) -> Image.Image:
        """The square with the centre and the longer side of a box that a person drew; what lies outside the
        photograph is padded. Raises AlignmentError for a box without pixels, or outside the photograph.
        """
        from backends.aligners import _framing  # which needs this module

        left, top, right, bottom = box
        if right <= left or bottom <= top:
            raise AlignmentError("the box has no pixels; draw a larger one")
        square = _framing.Square.of_box(box)
        (left, top), (right, bottom) = square.corners.min(0), square.corners.max(0)
        if left < 0 or top < 0 or right > photo.width or bottom > photo.height:
            return _framing.cut(photo, square, size)
        within = (float(left), float(top), float(right), float(bottom))
        return photo.resize((size, size), Image.Resampling.LANCZOS, box=within, reducing_gap=3)

    def align(self, photo: Image.Image, size: int, index: int = 0) -> Image.Image:
        """Detect and crop subject `index` (0 = the largest).

        Raises AlignmentError when there is no such subject; the message suggests the centre crop.
        """
        subjects = self.detect(photo)
        if index >= len(subjects):
            found = f"only {len(subjects)} found" if subjects else "none was found"
            raise AlignmentError(
                f"no subject number {index + 1} in this photograph: {found}. "
                "Try a larger, frontal, well-lit one, or choose 'As it is (centre crop)'."
            )
        return self.crop(photo, subjects[index], size)
