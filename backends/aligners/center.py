"""The largest centred square, or a drawn one: for domains without landmarks, and for aligned pictures."""

from dataclasses import dataclass

from PIL import Image

from backends.aligners import Aligner, AlignmentError, Subject
from backends.aligners._framing import Square, cut


@dataclass
class Center(Aligner):
    """Takes the picture as it is."""

    def detect(self, photo: Image.Image) -> list[Subject]:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        return [Subject((left, top, left + side, top + side))]

    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        """The square with the box's centre and longer side; parts outside the photograph are padded.

        Raises AlignmentError for a box without pixels, or outside the photograph.
        """
        left, top, right, bottom = subject.box
        if right <= left or bottom <= top:
            raise AlignmentError("the box has no pixels; draw a larger one")
        square = Square.of_box(subject.box)
        (left, top), (right, bottom) = square.corners.min(0), square.corners.max(0)
        if left < 0 or top < 0 or right > photo.width or bottom > photo.height:
            return cut(photo, square, size)
        box = (float(left), float(top), float(right), float(bottom))
        return photo.resize((size, size), Image.Resampling.LANCZOS, box=box, reducing_gap=3)
