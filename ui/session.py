"""What the page remembers about one visitor, in two `gr.State`s that nobody else can see."""

from dataclasses import dataclass, field

from PIL import Image

from backends import Latents
from backends.aligners import Subject
from backends.generators import Generator
from backends.inverters import Inversion
from editor import Edit, Editor
from ui.links import Panel


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photograph, what was found in it and the crop that will be inverted."""

    domain: str
    image: Image.Image
    subjects: tuple[Subject, ...] = ()
    detected: bool = True  # whether anybody has looked for subjects
    square: tuple[int, int, int, int] | None = None  # drawn by the visitor: left, top, right, bottom
    crop: Image.Image | None = None  # None until one is chosen


@dataclass(frozen=True, eq=False)
class Work:
    """The latent that is being edited, and the edit."""

    domain: str
    latents: Latents  # (1, layers, dim)
    tuned: Generator | None = None  # the inverter's own copy; None = the domain's generator
    seed: int | None = None  # of a generated picture
    edit: Edit = field(default_factory=dict)
    panel: Panel = field(default_factory=Panel)
    shared: str = ""  # id of the link that this came from or went to

    @staticmethod
    def of(editor: Editor, inversion: Inversion, panel: Panel, seed: int | None = None) -> "Work":
        """Keeps the generator only where it differs: a state that holds the domain's would hold 100 MB."""
        tuned = None if inversion.generator is editor.generator else inversion.generator
        return Work(editor.name, inversion.latents[:1].detach(), tuned, seed, panel=panel)

    def inversion(self, editor: Editor) -> Inversion:
        """As the editor wants it."""
        return Inversion(self.latents, self.tuned or editor.generator)
