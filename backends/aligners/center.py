"""The largest centred square, or a drawn one: for domains without landmarks, and for aligned pictures."""

from dataclasses import dataclass
from typing import ClassVar

from PIL import Image

from backends.aligners import Aligner, Subject
from backends.squares import Square


@dataclass
class Center(Aligner):
    """Takes the picture as it is."""

    detects: ClassVar[bool] = False

    def detect(self, photo: Image.Image) -> list[Subject]:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        return [Subject((left, top, left + side, top + side))]

    def frame(self, photo: Image.Image, subject: Subject) -> Square:
        """The box of the subject, as `drawn`. Raises AlignmentError for a box without pixels."""
        return self.drawn(subject.box)
