"""From a photograph to its inversion: reading, framing, inverting. Same rules as `handlers`."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from PIL import Image

from backends.aligners import Aligner, AlignmentError, Subject
from backends.inverters import Inversion
from backends.photos import PhotoError, read_photo
from backends.weights import WeightsError
from editor import Editor
from plugins import build
from ui import fetching, widgets
from ui.cropping import centre, cropper, within
from ui.handlers import Handlers, Update
from ui.pictures import nothing, picture, status
from ui.session import Photo, Work

ALIGN, CENTER = "align", "center"
LOOK = 0.7  # seconds between two intermediate pictures of an inversion: each costs what a preview costs
MOST_SUBJECTS = 12  # that one can choose from


class Photographs:
    """Handlers around a visitor's photograph."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self.center = build(Aligner, {"name": "center"})  # for squares that are drawn
        self.stops: dict[str, threading.Event] = {}  # session -> asks its inversion to end

    def receive(self, file: dict[str, Any] | None) -> Update:
        """An uploaded file -> an upright picture. Raises PhotoError for what is not a picture, or too large.

        Gets the browser's own words, so the path is checked here: only uploads are read.
        """
        path = Path(str((file or {}).get("path", ""))).resolve()
        if not path.is_relative_to(Path(get_upload_folder()).resolve()) or not path.is_file():
            raise PhotoError("The upload did not arrive. Please try again.")
        return {"received": read_photo(path), "status": status("Looking at the photograph…", "busy")}

    def prepare(self, domain: str) -> Iterator[Update]:
        """Weights that finding a face needs. Without them the photograph is not looked at."""
        editor = self.handlers.editor(domain)
        try:
            yield from fetching.fetched(editor, editor.aligner)
        except WeightsError:
            yield {"received": None}
            raise

    def ready(self, photo: Photo | None, inverter: str) -> Iterator[Update]:
        """Weights that an inverter needs, which may be many times those of the generator."""
        if photo is not None:
            editor = self.handlers.editor(photo.domain)
            yield from fetching.fetched(editor, editor.inverter(inverter))
            yield {"inverter": gr.Dropdown(choices=widgets.inverters(editor), value=inverter)}

    def detect(self, received: Image.Image | None, domain: str, framing: str) -> Update:
        """Find what can be edited in a new photograph, and show the crop."""
        if received is None:
            return {}
        editor = self.handlers.editor(domain)
        subjects: tuple[Subject, ...] = ()
        if framing == ALIGN:
            with self.handlers.lock:
                subjects = tuple(editor.aligner.detect(received))
        photo = Photo(domain, received, subjects, detected=framing == ALIGN)
        crops = [editor.crop(received, subject).resize((128, 128)) for subject in subjects[:MOST_SUBJECTS]]
        faces = (
            [(crop, str(number)) for number, crop in enumerate(crops, start=1)] if len(crops) > 1 else None
        )
        framed = self.frame(photo, domain, framing)
        return {**framed, "faces": gr.Gallery(faces, visible=faces is not None), "received": None}

    def pick(self, photo: Photo | None, domain: str, index: int = 0) -> Update:
        """Another of several faces."""
        return {**self.frame(photo, domain, ALIGN, index), "framing": ALIGN}

    def choose(self, domain: str, inverter: str) -> Update:
        """Another inverter: its own number of steps."""
        return {"steps": widgets.steps(self.handlers.editor(domain), inverter)}

    def frame(self, photo: Photo | None, domain: str, framing: str, index: int = 0) -> Update:
        """The crop that will be inverted: subject `index`, or a square that the visitor draws."""
        if photo is None or photo.domain != domain:
            raise AlignmentError("Upload a photograph first.")
        editor = self.handlers.editor(domain)
        if framing == CENTER:
            square = photo.square or centre(photo.image)
            framed = self._framed(photo, editor, Subject(square), drawn=True)
            return {**framed, "crop": cropper(photo.image, square)}
        if not photo.detected:
            with self.handlers.lock:
                photo = replace(photo, subjects=tuple(editor.aligner.detect(photo.image)), detected=True)
        if index < len(photo.subjects):
            return {**self._framed(photo, editor, photo.subjects[index]), "crop": cropper()}
        subject = editor.domain.subject
        message = (
            f"No {subject} was found in this photograph. Try a larger, frontal, well-lit one, "
            "or choose “As it is” to crop it by hand."
        )
        return {
            **self._unedited(replace(photo, crop=None)),
            "original": nothing(f"No {subject} found"),
            "status": status(message, "problem"),
            "crop": cropper(),
        }

    def crop(self, photo: Photo | None, domain: str, drawn: dict[str, Any] | None) -> Update:
        """Another square of the photograph, as the visitor has drawn it."""
        if photo is None or photo.domain != domain:
            raise AlignmentError("Upload a photograph first.")
        photo = replace(photo, square=within(photo.image, (drawn or {}).get("square")))
        assert photo.square
        return self._framed(photo, self.handlers.editor(domain), Subject(photo.square), drawn=True)

    def _framed(self, photo: Photo, editor: Editor, subject: Subject, drawn: bool = False) -> Update:
        """The crop around a subject, ready to be inverted."""
        name, aligner = editor.domain.subject, self.center if drawn else editor.aligner
        crop = aligner.crop(photo.image, subject, editor.generator.size)
        photo = replace(photo, crop=crop)
        several = f"{len(photo.subjects)} found; choose another below. " if len(photo.subjects) > 1 else ""
        text = f"{several}Press Invert to find this {name} in the model."
        if drawn:
            text = f"Draw the square around the {name}, then press Invert."
        return {
            **self._unedited(photo),
            "original": picture(crop, f"The photograph, cropped to the {name}"),
            "status": status(text),
        }

    def _unedited(self, photo: Photo) -> Update:
        return {
            "photo": photo,
            "work": None,
            "inversion": nothing("Not inverted yet"),
            "edited": nothing("Press Invert"),
            "invert": gr.Button(interactive=photo.crop is not None),
        }

    def invert(
        self,
        photo: Photo | None,
        inverter: str,
        steps: float,
        *panel: Any,
        session: str = "",
    ) -> Iterator[Update]:
        """The inversion of the crop, as it advances; `stop` ends it early and keeps what there is."""
        if photo is None or photo.crop is None:
            raise AlignmentError("Upload a photograph first.")
        editor = self.handlers.editor(photo.domain)
        if fetching.missing(editor, editor.inverter(inverter)):  # `ready` has said why
            return
        sliders = self.handlers.own_panel(editor, *panel)
        stop = self.stops[session] = threading.Event()
        yield {**widgets.running(True), "status": status("Inverting: preparing…", "busy", 0.0)}
        inversion, began = None, time.monotonic()
        try:
            for inversion, image in self._inversions(editor, photo.crop, inverter, steps, stop):
                update = self._advance(inversion, time.monotonic() - began)
                if image is not None:
                    seen = picture(image, f"Inversion after {inversion.step} steps")
                    work = Work.of(editor, inversion, sliders)
                    update |= {"inversion": seen, "edited": seen, "work": work}
                yield update
        except Exception:
            yield widgets.running(False)
            raise
        finally:
            self.stops.pop(session, None)
        if inversion is None:
            yield {**widgets.running(False), "status": status("Stopped before the first step.")}
            return
        ended = "Stopped" if inversion.step < inversion.steps else "Inverted"
        message = f"{ended} after {time.monotonic() - began:.0f} s. Drag a slider to edit."
        shown = self.handlers.show(
            Work.of(editor, inversion, sliders), message, picture(photo.crop, "The photograph, cropped")
        )
        yield {**shown, **widgets.running(False), "tabs": gr.Tabs(selected="edit")}

    def stop(self, session: str = "") -> Update:
        """Ask this visitor's running inversion to end after its present step."""
        if event := self.stops.get(session):
            event.set()
        return {"status": status("Stopping after this step…", "busy")}

    def leave(self, request: gr.Request) -> None:
        """The visitor closed the page: nobody waits for the inversion any more."""
        session = request.session_hash or ""
        self.stop(session)
        self.handlers.choices.pop(session)
        self.handlers.panels.pop(session)

    def _inversions(
        self, editor: Editor, crop: Image.Image, inverter: str, steps: float, stop: threading.Event
    ) -> Iterator[tuple[Inversion, Image.Image | None]]:
        """Each inversion, and now and then its picture. Others may compute between two steps."""
        settings = {"steps": int(steps)} if widgets.default_steps(editor, inverter) else {}
        looked = 0.0
        with closing(editor.invert(crop, inverter, **settings)) as run:  # type: ignore[type-var]
            while not stop.is_set():
                with self.handlers.lock:
                    inversion = next(run, None)
                    if inversion is None:
                        return
                    image = None
                    if time.monotonic() - looked > LOOK:
                        image, looked = editor.render(inversion, preview=True), time.monotonic()
                yield inversion, image
                time.sleep(0.001)  # a lock that is taken again at once would starve the others

    def _advance(self, inversion: Inversion, seconds: float) -> Update:
        done = inversion.step / inversion.steps
        text = f"Inverting: step {inversion.step} of {inversion.steps}"
        if done:
            text += f", about {seconds / done * (1 - done):.0f} s left"
        return {"status": status(text, "busy", done)}
