"""Handlers: from a photograph to its inversion. Rules as in `domain`."""

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from backends.aligners import AlignmentError
from backends.photos import PhotoError, read_photo
from backends.squares import Square
from editor import Editor
from ui import fetching, views
from ui.domain import chosen
from ui.models import Models, Step
from ui.pictures import Square as Box
from ui.pictures import centre, cropper, drawn, nothing, picture, status
from ui.state import Origin, Photo, Visit
from ui.widgets import ALIGN, BY_HAND, Update

MOST_SUBJECTS = 12  # that one can choose from
THUMBNAIL = 128  # side of their pictures, pixels


@dataclass
class Photograph:
    """Reading, framing, inverting."""

    models: Models

    def receive(self, visit: Visit, file: dict[str, Any] | None, framing: str) -> Iterator[Update]:
        """An uploaded file, after the weights that finding a face needs.

        Gets the browser's own words, so the path is checked here: only uploads are read. Raises PhotoError,
        also for what is no picture, or too large.
        """
        path = Path(str((file or {}).get("path", ""))).resolve()
        if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
            raise PhotoError("The upload did not arrive. Please try again.")
        content, domain = path.read_bytes(), visit.domain
        image = read_photo(content)
        yield {"status": status("Looking at the photograph…", "busy")}
        editor = self.models.editor(domain)
        yield from fetching.fetched(editor, editor.aligner)
        if visit.domain == domain:
            yield self.detect(visit, content, image, framing)

    def detect(self, visit: Visit, content: bytes, image: Image.Image, framing: str) -> Update:
        """A new photograph and its crop; several faces in it can be chosen from."""
        hidden = gr.Gallery(None, visible=False)
        return {"faces": hidden, **self._frame(visit, Photo(content), image, framing)}

    def pick(self, visit: Visit, index: object) -> Update:
        """Another of several faces."""
        photo = self._edited(visit)
        place = chosen(index, len(photo.subjects or ()))
        return {**self._frame(visit, photo, photo.image, ALIGN, place), "framing": ALIGN}

    def frame(self, visit: Visit, framing: str) -> Update:
        """The crop that will be inverted: the first subject, or a square that the visitor draws."""
        photo = self._edited(visit)
        return self._frame(visit, photo, photo.image, framing)

    def _edited(self, visit: Visit) -> Photo:
        """The photograph with what has been edited in it so far: the next subject comes after this one."""
        photo, work = _uploaded(visit), visit.work
        if work is None or work.origin is None or not work.edit:
            return photo
        patch = self.models.paste(visit.domain, work).patch(photo.image)
        return replace(photo, patches=(*photo.patches, patch))

    def _frame(self, visit: Visit, photo: Photo, image: Image.Image, framing: str, index: int = 0) -> Update:
        if framing == BY_HAND:
            square = photo.square or centre(image)
            return {**self._by_hand(visit, photo, image, square), "crop": cropper(image, square)}
        editor, found = self.models.editor(visit.domain), Update()
        if photo.subjects is None:
            photo = replace(photo, subjects=self.models.detect(visit.domain, image))
            found["faces"] = self._faces(editor, photo, image)
        subjects, subject = photo.subjects or (), editor.domain.subject
        if index < len(subjects):
            square = editor.aligner.frame(image, subjects[index])
            text = f"Press Invert to find this {subject} in the model."
            if len(subjects) > 1:
                text = f"{len(subjects)} found; choose another below. {text}"
        else:
            square = None
            text = (
                f"No {subject} was found in this photograph. Try a larger, frontal, well-lit one, "
                "or choose “As it is” to crop it by hand."
            )
        return {**self._framed(visit, photo, image, square, text), **found, "crop": cropper()}

    def _faces(self, editor: Editor, photo: Photo, image: Image.Image) -> Any:
        subjects = (photo.subjects or ())[:MOST_SUBJECTS]
        if len(subjects) < 2:
            return gr.Gallery(None, visible=False)
        squares = [editor.aligner.frame(image, subject) for subject in subjects]
        crops = [editor.aligner.crop(image, square, THUMBNAIL) for square in squares]
        return gr.Gallery([(crop, str(place)) for place, crop in enumerate(crops, start=1)], visible=True)

    def crop(self, visit: Visit, said: dict[str, Any] | None) -> Update:
        """Another square of the photograph, as the visitor has drawn it."""
        photo = self._edited(visit)
        image = photo.image
        return self._by_hand(visit, photo, image, drawn(image, (said or {}).get("square")))

    def _by_hand(self, visit: Visit, photo: Photo, image: Image.Image, box: Box) -> Update:
        editor = self.models.editor(visit.domain)
        text = f"Draw the square around the {editor.domain.subject}, then press Invert."
        photo, square = replace(photo, square=box), editor.aligner.drawn(box)
        return self._framed(visit, photo, image, square, text)

    def _framed(
        self, visit: Visit, photo: Photo, image: Image.Image, square: Square | None, text: str
    ) -> Update:
        """A crop that is ready to be inverted, or none."""
        editor = self.models.editor(visit.domain)
        crop, subject = editor.crop(image, square) if square else None, editor.domain.subject
        visit.photo, visit.work = replace(photo, crop=crop, frame=square), None
        shown = picture(crop, f"The photograph, cropped to the {subject}") if crop else None
        return {
            "original": shown or nothing(f"No {subject} found"),
            "inversion": nothing("Not inverted yet"),
            "edited": nothing("Press Invert"),
            "whole": gr.Radio(visible=False),
            "invert": gr.Button(interactive=crop is not None),
            "status": status(text, "plain" if crop else "problem"),
        }

    # Inversion

    def choose(self, visit: Visit, inverter: str) -> Update:
        """Another inverter: its own number of steps."""
        return {"steps": views.steps(self.models.editor(visit.domain), inverter)}

    def ready(self, visit: Visit, inverter: str) -> Iterator[Update]:
        """Weights that an inverter needs, which may be many times those of the generator."""
        if visit.photo is not None:
            editor = self.models.editor(visit.domain)
            yield from fetching.fetched(editor, editor.inverter(inverter))
            yield {"inverter": gr.Dropdown(choices=views.inverters(editor), value=inverter)}

    def invert(self, visit: Visit, inverter: str, steps: float) -> Iterator[Update]:
        """The inversion of the crop, as it advances; `stop` ends it early and keeps what there is."""
        photo = _uploaded(visit)
        if photo.crop is None:
            raise AlignmentError("Upload a photograph first.")
        editor = self.models.editor(visit.domain)
        if fetching.missing(editor, editor.inverter(inverter)):  # `ready` has said why
            return
        visit.stop.clear()
        yield {**views.running(True), "status": status("Inverting: preparing…", "busy", 0.0)}
        step, began = None, time.monotonic()
        try:
            with closing(self.models.invert(visit.domain, photo.crop, inverter, int(steps))) as run:
                for step in run:
                    if visit.photo is not photo:  # another one, or another crop, came meanwhile
                        break
                    yield self._advanced(visit, step, time.monotonic() - began)
                    if visit.stop.is_set():
                        break
        except Exception:
            yield views.running(False)
            raise
        ended = views.running(False)
        if visit.photo is photo and step is not None:
            origin = Origin.of(photo.image, photo.frame) if photo.frame else None
            visit.work = replace(step.work, origin=origin)
            how = "Stopped" if step.done < step.planned else "Inverted"
            text = f"{how} after {time.monotonic() - began:.0f} s. Drag a slider to edit."
            ended |= views.work(self.models, visit, text)
            ended["tabs"] = gr.Tabs(selected="edit")
        yield ended

    def stop(self, visit: Visit) -> Update:
        """Ask this visitor's inversion to end after its present step."""
        visit.stop.set()
        return {"status": status("Stopping after this step…", "busy")}

    def _advanced(self, visit: Visit, step: Step, seconds: float) -> Update:
        done = step.done / step.planned
        text = f"Inverting: step {step.done} of {step.planned}"
        if done:
            text += f", about {seconds / done * (1 - done):.0f} s left"
        update: Update = {"status": status(text, "busy", done)}
        if step.image is not None:
            visit.work = step.work
            seen = picture(step.image, f"Inversion after {step.done} steps")
            update |= {"inversion": seen, "edited": seen}
        return update


def _uploaded(visit: Visit) -> Photo:
    if visit.photo is None:
        raise AlignmentError("Upload a photograph first.")
    return visit.photo
