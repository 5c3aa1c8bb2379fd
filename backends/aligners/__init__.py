"""Aligner: a photograph -> the square crop a generator was trained on. The contract of this folder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from backends import Backend
from backends.squares import Square
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
    def frame(self, photo: Image.Image, subject: Subject) -> Square:
        """The square around `subject`, framed as the training data was, in pixels of the photograph.

        Parts of it may lie outside. Raises AlignmentError where there is none.
        """

    def drawn(self, box: tuple[int, int, int, int]) -> Square:
        """The square with the centre and the longer side of a box that a person drew, as it is.

        Raises AlignmentError for a box without pixels.
        """
        left, top, right, bottom = box
        if right <= left or bottom <= top:
            raise AlignmentError("the box has no pixels; draw a larger one")
        return Square.of_box(box)

    def crop(self, photo: Image.Image, square: Square, size: int) -> Image.Image:
        """What `square` shows, upright, `size` x `size` pixels; what lies outside the photograph is padded.

        Raises AlignmentError when nothing of the photograph is in the square.
        """
        from backends.aligners import _framing  # which needs this module

        return _framing.cut(photo, square, size)

    def subject(self, photo: Image.Image, index: int = 0) -> Subject:
        """Subject `index` of the photograph (0 = the largest).

        Raises AlignmentError when there is no such subject; the message suggests the centre crop.
        """
        subjects = self.detect(photo)
        if index >= len(subjects):
            found = f"only {len(subjects)} found" if subjects else "none was found"
            raise AlignmentError(
                f"no subject number {index + 1} in this photograph: {found}. "
                "Try a larger, frontal, well-lit one, or choose 'As it is (centre crop)'."
            )
        return subjects[index]

    def align(self, photo: Image.Image, size: int, index: int = 0) -> Image.Image:
        """The crop around subject `index`. Raises AlignmentError as `subject` and `frame`."""
        return self.crop(photo, self.frame(photo, self.subject(photo, index)), size)
