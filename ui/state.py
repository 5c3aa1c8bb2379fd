"""What the page remembers: one `Visit` a browser window, all of them in one store that forgets."""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from PIL import Image

from backends import Latents
from backends.aligners import Subject
from backends.compositing import Paste, Patch
from backends.generators import Generator
from backends.inverters import Inversion
from backends.photos import read_photo
from backends.squares import Square
from editor import Edit, Editor

HOUR = 3600  # seconds
SHOWN = 1024  # longer side of a whole photograph on the page, pixels
AWAY = 600  # seconds after which who closed the window will not come back: a phone closes it while it sleeps
LOOK = 5.0  # seconds between two looks for what is to be forgotten


@dataclass(frozen=True)
class Panel:
    """Which directions the sliders show."""

    source: str = ""  # label of a direction source; empty = the domain's first
    layers: str = ""  # layers of W+, as `parse_layers` reads them; empty = as the source says
    count: int = 0  # of sliders; 0 = as the source says
    keep: tuple[str, ...] = ()  # attributes that no slider but their own may change, sorted


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, what was found in it and the crop that will be inverted."""

    content: bytes  # the file as it came: a tenth of the picture in memory, or a ten-thousandth
    subjects: tuple[Subject, ...] | None = None  # None: nobody has looked for any
    square: tuple[int, int, int, int] | None = None  # drawn by the visitor: left, top, right, bottom
    crop: Image.Image | None = None  # None until one is chosen
    frame: Square | None = None  # what the crop shows, in pixels of the photograph
    patches: tuple[Patch, ...] = ()  # subjects that have been edited already

    @property
    def image(self) -> Image.Image:
        """Upright, RGB, with its patches; decoded at every look."""
        image = read_photo(self.content)
        for patch in self.patches:
            patch.onto(image)
        return image

    @property
    def size(self) -> int:
        """Bytes that it takes in memory."""
        pictures = [patch.pixels for patch in self.patches] + ([self.crop] if self.crop else [])
        return len(self.content) + sum(4 * each.width * each.height for each in pictures)


@dataclass(frozen=True, eq=False)
class Origin:
    """Where in the visitor's photograph a latent comes from."""

    size: tuple[int, int]  # of the photograph, pixels
    square: Square  # in the same pixels
    shown: Image.Image  # the photograph, at most SHOWN a side
    passing: Image.Image  # half as large, while a slider moves
    key: str = field(default_factory=lambda: secrets.token_hex(16))  # the same in every process

    @staticmethod
    def of(photo: Image.Image, square: Square) -> "Origin":
        shown, passing = photo.copy(), photo.copy()
        for copy, side in ((shown, SHOWN), (passing, min(max(photo.size), SHOWN) // 2)):
            copy.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3)
        return Origin(photo.size, square, shown, passing)

    def pasted(self, paste: Paste, passing: bool) -> Image.Image:
        """What the page shows of the photograph with a paste in it."""
        photo = self.passing if passing else self.shown
        scale = (photo.width / self.size[0], photo.height / self.size[1])
        return replace(paste, square=self.square.moved((0, 0), scale)).onto(photo)


@dataclass(frozen=True, eq=False)
class Work:
    """The latent that is being edited, and the edit."""

    latents: Latents  # (1, layers, dim)
    decoder: Generator | None = None  # the inverter's own; None = the domain's generator
    seed: int | None = None  # of a generated picture
    edit: Edit = field(default_factory=dict)
    origin: Origin | None = None  # None of what is not from a photograph

    @staticmethod
    def of(editor: Editor, inversion: Inversion, seed: int | None = None) -> "Work":
        """Keeps the generator only where it is not the domain's."""
        decoder = None if inversion.generator is editor.generator else inversion.generator
        return Work(inversion.latents[:1].detach(), decoder, seed)

    def inversion(self, editor: Editor) -> Inversion:
        """As the editor wants it."""
        return Inversion(self.latents, self.decoder or editor.generator)


@dataclass(eq=False)
class Visit:
    """One browser window, from opening to closing it."""

    domain: str = ""  # the one that the page shows; empty before the first
    choice: str = ""  # the one that was chosen last; its weights may still be on their way
    panel: Panel = field(default_factory=Panel)
    photo: Photo | None = None
    work: Work | None = None
    whole: bool = True  # whether the whole photograph is shown, where there is one
    link: str = ""  # id of the shared record that was made or opened last
    stop: threading.Event = field(default_factory=threading.Event)  # asks the inversion to end
    dragging: threading.Lock = field(default_factory=threading.Lock)  # held while a drag is answered
    closed: bool = False  # whether the window is
    used: float = 0.0  # when the visitor did something last

    def show(self, domain: str, work: Work, panel: Panel) -> None:
        """Another picture, without the photograph and the inversion that were before it."""
        self.stop.set()
        self.domain = self.choice = domain
        self.photo, self.work, self.panel = None, work, panel

    def forget(self) -> None:
        """Drop the photograph and what was made of it; settings stay."""
        self.photo = self.work = None

    def shows(self, domain: str, panel: Panel) -> bool:
        """Whether somebody still looks at these sliders."""
        return not self.closed and (self.domain, self.panel) == (domain, panel)

    def close(self) -> None:
        """The window is closed: nobody waits for anything any more."""
        self.closed, self.choice = True, self.domain
        self.stop.set()


@dataclass(eq=False)
class Visits:
    """By Gradio's session; what was not used for longest goes first."""

    most: int = 1000  # windows
    life: float = HOUR  # seconds of a photograph and its picture without anything done
    room: int = 1_000_000_000  # bytes for photographs
    now: Callable[[], float] = time.monotonic  # replaced in tests

    def __post_init__(self) -> None:
        self._visits: OrderedDict[str, Visit] = OrderedDict()  # the last that did something comes last
        self._lock = threading.Lock()
        self._looked = self.now()

    def __len__(self) -> int:
        return len(self._visits)

    def get(self, session: str) -> Visit:
        """The visit of a session, a new one if it is not known; without a name, one that nobody remembers."""
        if self.now() - self._looked > LOOK:
            self.expire()
        with self._lock:
            visit = self._visits.setdefault(session, Visit()) if session else Visit()
            visit.used, visit.closed = self.now(), False
            if session:
                self._visits.move_to_end(session)
            while len(self._visits) > self.most:
                self._visits.popitem(last=False)[1].close()
        return visit

    def leave(self, session: str) -> None:
        """The window was closed. Photograph and picture stay for a moment: it may open again."""
        with self._lock:
            if visit := self._visits.get(session):
                visit.close()

    def expire(self) -> None:
        """Forget what was not used for too long, and photographs that there is no room for."""
        with self._lock:
            self._looked, room = self.now(), self.room
            for visit in reversed(self._visits.values()):
                photo = visit.photo
                room -= photo.size if photo else 0
                if self._looked - visit.used > (min(AWAY, self.life) if visit.closed else self.life):
                    visit.forget()
                elif room < 0:
                    visit.photo = None
