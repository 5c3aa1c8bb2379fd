"""The largest centred square: for domains without landmarks, and for pictures that are aligned already."""

from dataclasses import dataclass

from PIL import Image

from backends.aligners import Aligner, Subject


@dataclass
class Center(Aligner):
    """Takes the picture as it is."""

    def detect(self, photo: Image.Image) -> list[Subject]:
        side = min(photo.size)
        left, top = (photo.width - side) // 2, (photo.height - side) // 2
        return [Subject((left, top, left + side, top + side))]

    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        return photo.resize((size, size), Image.Resampling.LANCZOS, box=subject.box, reducing_gap=3)
