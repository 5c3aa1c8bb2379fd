"""What all visitors share: the domains, their editors, and one computation at a time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from backends import Latents
from backends.aligners import Subject
from backends.compositing import Paste
from config import CONFIGS, ConfigError
from editor import Editor, View, domains
from ui import semantics
from ui.fetching import offer
from ui.semantics import POOL, Shown
from ui.state import Panel, Work

try:
    from spaces import GPU as accelerated  # type: ignore  # Hugging Face's ZeroGPU; returns the function unchanged elsewhere
except ImportError:

    def accelerated(function: Callable[..., Any]) -> Callable[..., Any]:
        return function


Result = TypeVar("Result")
OWN = Panel()  # all settings of the sliders as the domain says
MOST_ZEROS = 4  # views before the edit that are kept: 13 MB each, a quarter for a preview
LOOK = 0.7  # seconds between two intermediate pictures of an inversion: each costs what a preview costs


@dataclass(frozen=True, eq=False)
class Step:
    """How far an inversion has come."""

    work: Work
    done: int
    planned: int
    image: Image.Image | None  # now and then


class Models:
    """What is `accelerated` may run in another process, which has neither the lock nor the visits: it takes
    and returns plain values, and a domain by its name.
    """

    def __init__(self, configs: Path = CONFIGS) -> None:
        self.configs = configs
        self.domains = domains(configs)
        if not self.domains:
            raise ConfigError(f"there is no .yaml file in {configs}; a domain is one such file")
        self.lock = threading.RLock()  # one computation at a time, whatever the queue lets through
        self.moved = 0.0  # when a slider was moved last, by anyone
        self._loaded = lru_cache(maxsize=2)(self._load)  # the two last used stay in memory
        self._described = lru_cache(maxsize=None)(self._load)  # never with weights
        self.editor = self._alone(self._loaded)
        self.shown = self._alone(lru_cache(maxsize=64)(self._shown))  # asked for at every move
        self.samples = self._alone(lru_cache(maxsize=None)(self._samples))
        self.detect = self._alone(accelerated(self._detect))
        self.generate = self._alone(accelerated(self._generate))
        self.render = self._alone(accelerated(self._render))
        self.paste = self._alone(accelerated(self._paste))
        self.edited = self._alone(accelerated(self._edited))
        self._zero: OrderedDict[tuple[str, bool], View] = OrderedDict()  # of the photographs used last
        self._inverted = accelerated(self._invert)

    def offered(self) -> list[tuple[str, str]]:
        """The list of domains: title, what choosing it downloads, and its name."""
        listed = []
        for name, domain in self.domains.items():
            editor = self._described(name)
            first = offer(editor, editor.generator)
            listed.append((f"{domain.title} · {first}" if first else domain.title, name))
        return listed

    def panel(self, name: str, asked: Panel = OWN) -> Panel:
        """Complete settings of the sliders: what is missing or unknown becomes the domain's own.

        Raises ConfigError for layers that do not exist.
        """
        editor = self.editor(name)
        label = asked.source if asked.source in editor.sources else next(iter(editor.sources))
        own = editor.sources[label]
        count = min(max(int(asked.count or own.count), 1), POOL)
        panel = Panel(label, (asked.layers or own.layers).strip(), count)
        with self.lock:
            known = semantics.conditions(editor, panel) if asked.keep else []
        return replace(panel, keep=tuple(sorted(each for each in known if each in asked.keep)))

    def invert(self, name: str, crop: Image.Image, inverter: str, steps: int) -> Generator[Step, None, None]:
        """Ever better inversions of a crop; others may compute between two steps."""
        return self.turns(self._inverted(name, crop, inverter, steps))

    def turns(self, steps: Generator[Any, None, None]) -> Generator[Any, None, None]:
        """What `steps` gives, each computed in a turn of its own; `steps` is closed at the end."""
        with closing(steps):
            while True:
                with self.lock:
                    step = next(steps, None)
                if step is None:
                    return
                yield step
                time.sleep(0.001)  # a lock that is taken again at once would starve the others

    def _alone(self, function: Callable[..., Result]) -> Callable[..., Result]:
        """The same function, one computation at a time."""

        @wraps(function)
        def alone(*values: Any, **options: Any) -> Result:
            with self.lock:
                return function(*values, **options)

        return alone

    def _samples(self, name: str) -> list[tuple[Image.Image, str]]:
        """Thumbnails of the domain's sample pictures, and their names."""
        seeds = self.domains[name].seeds
        pictures = [self.render(name, self.generate(name, seed), preview=True) for seed in seeds]
        return [
            (image.resize((160, 160)), f"Seed {seed}") for image, seed in zip(pictures, seeds, strict=True)
        ]

    def _shown(self, name: str, panel: Panel) -> list[Shown]:
        """What the sliders move. Raises ConfigError."""
        return semantics.shown(self.editor(name), panel)

    def _load(self, name: str) -> Editor:
        """The editor of a domain. Raises ConfigError."""
        if not name:  # of a visit
            raise ConfigError("This page was open for too long. Please load it again.")
        return Editor.load(name, self.configs)

    # Computations

    def _detect(self, name: str, photo: Image.Image) -> tuple[Subject, ...]:
        return tuple(self._loaded(name).aligner.detect(photo))

    def _generate(self, name: str, seed: int) -> Work:
        editor = self._loaded(name)
        return Work.of(editor, editor.sample(seed), seed)

    def _render(self, name: str, work: Work, preview: bool = False) -> Image.Image:
        editor = self._loaded(name)
        return editor.render(work.inversion(editor), work.edit, preview)

    def photograph(self, name: str, work: Work, preview: bool = False) -> Image.Image:
        """The photograph that the work comes from, as the page shows it, with the edit."""
        assert work.origin
        if not work.edit:
            return work.origin.passing if preview else work.origin.shown
        return work.origin.pasted(self.paste(name, work, preview), preview)

    def _paste(self, name: str, work: Work, preview: bool = False) -> Paste:
        assert work.origin
        editor, key = self._loaded(name), (work.origin.key, preview)
        inversion = work.inversion(editor)
        if key not in self._zero:  # while a slider moves, only the other view changes
            self._zero[key] = editor.view(inversion, None, preview)
            while len(self._zero) > MOST_ZEROS:
                self._zero.popitem(last=False)
        self._zero.move_to_end(key)
        return editor.paste(work.origin.square, self._zero[key], editor.view(inversion, work.edit, preview))

    def _edited(self, name: str, work: Work) -> Latents:
        return self._loaded(name).edited(work.latents, work.edit)

    def _invert(self, name: str, crop: Image.Image, inverter: str, steps: int) -> Iterator[Step]:
        editor, looked = self._loaded(name), 0.0
        with closing(editor.invert(crop, inverter, steps)) as run:  # type: ignore[type-var]
            for inversion in run:
                image = None
                if time.monotonic() - looked > LOOK:
                    image, looked = editor.render(inversion, preview=True), time.monotonic()
                yield Step(Work.of(editor, inversion), inversion.step, inversion.steps, image)
