"""Aligner: a photograph -> the square crop a generator was trained on. The contract of this folder."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from PIL import Image

from backends import Backend


class AlignmentError(ValueError):
    """A photograph that cannot be aligned; the message says what would work instead."""


@dataclass(frozen=True)
class Subject:
    """One thing in the photograph that can be edited (a face, a cat's head)."""

    box: tuple[int, int, int, int]  # left, top, right, bottom, pixels of the upright photograph
    landmarks: tuple[tuple[float, float], ...] = ()  # (x, y) in the same pixels


class Aligner(Backend, ABC):
    """Fields of a concrete aligner are its YAML settings; models load on first use."""

    @abstractmethod
    def detect(self, photo: Image.Image) -> list[Subject]:
        """The subjects of an upright RGB photograph, largest first; empty when there are none."""

    @abstractmethod
    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        """The square of `size` x `size` pixels around `subject`, framed as the training data was."""

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
