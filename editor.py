"""The pipeline: photograph -> crop -> images -> inversion -> edit -> picture, as one YAML describes it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch
from PIL import Image

from backends import Backend, Images, Latents
from backends.aligners import Aligner
from backends.compositing import Paste
from backends.decoders import Decoder
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.masks import Look, Mask
from backends.photos import to_images, to_pil
from backends.squares import Square
from config import CONFIGS, ConfigError, read
from directions import Direction, DirectionId, DirectionSource, parse_layers
from plugins import build

Plugin = TypeVar("Plugin")
Edit = dict[str, float]  # a DirectionId as text -> strength


@dataclass(frozen=True, eq=False)
class View:
    """A picture of an inversion, and what its mask has to know of it."""

    images: Images  # (1, 3, size, size)
    look: Look


@dataclass
class Domain:
    """The keys of a file in configs/. Every plugin is a mapping: `name:` and the plugin's own settings."""

    title: str  # in the page's list of domains
    generator: dict[str, Any]
    inverters: dict[str, Any]  # label -> inverter; the first is the default
    directions: dict[str, Any]  # label -> direction source; the first is the default
    aligner: dict[str, Any] = field(default_factory=lambda: {"name": "center"})
    mask: dict[str, Any] = field(default_factory=lambda: {"name": "change"})  # where edits may show
    subject: str = "picture"  # what a photograph must show: "face", "cat", "tower"
    note: str = ""  # shown under the title: training data, licence
    seeds: list[int] = field(default_factory=lambda: [1, 2, 3, 4])  # of the sample pictures
    order: int = 100  # place in the list of domains


def read_domain(path: Path, overrides: Sequence[str] = ()) -> Domain:
    """The checked contents of a YAML file, with `overrides` such as "inverters.optimize.steps=30" applied.

    Raises ConfigError naming the file, the key and what would have worked.
    """
    domain = read(Domain, path, overrides)
    for key in ("inverters", "directions"):
        if not getattr(domain, key):
            raise ConfigError(f"{path.name}: {key}: needs at least one entry, as in `SeFa: {{name: sefa}}`")
        for label in getattr(domain, key):
            if not label or label != label.strip() or set(label) & set("@/=|"):
                raise ConfigError(
                    f"{path.name}: {key}: the label {label!r} may not be empty or hold any of @ / = |"
                )
    return domain


def domains(folder: Path = CONFIGS) -> dict[str, Domain]:
    """Every domain of a folder by file name, in the order of the page's list."""
    found = {path.stem: read_domain(path) for path in sorted(folder.glob("*.yaml"))}
    return dict(sorted(found.items(), key=lambda item: (item[1].order, item[0])))


class Editor:
    """What one domain's YAML builds. Construction loads no weights; the first use of a part does."""

    def __init__(self, name: str, domain: Domain):
        where = f"{name}.yaml"
        self.name = name
        self.domain = domain
        self.aligner = build(Aligner, domain.aligner, f"{where}: aligner")
        self.mask = build(Mask, domain.mask, f"{where}: mask")
        self.generator = build(Generator, domain.generator, f"{where}: generator")
        self.inverters = {
            label: build(Inverter, settings, f"{where}: inverters: {label}")
            for label, settings in domain.inverters.items()
        }
        self.sources = {
            label: build(DirectionSource, settings, f"{where}: directions: {label}")
            for label, settings in domain.directions.items()
        }
        # Sliders ask for the same directions at every move; an eigendecomposition each time would be felt.
        self.directions = lru_cache(maxsize=64)(self._directions)
        self.direction = lru_cache(maxsize=1024)(self._direction)

    @classmethod
    def load(cls, name: str, folder: Path = CONFIGS, overrides: Sequence[str] = ()) -> "Editor":
        """The editor of `folder/name.yaml`, with `overrides` as in `read_domain`."""
        known = sorted(path.stem for path in folder.glob("*.yaml"))
        if name not in known:
            raise ConfigError(f"no domain is called {name!r}; there are: {', '.join(known)}")
        return cls(name, read_domain(folder / f"{name}.yaml", overrides))

    def required(self, *parts: Backend) -> list[str]:
        """Entries of backends/weights.yaml that these parts of the domain read; without any, all parts."""
        parts = parts or (self.generator, self.aligner, self.mask, *self.inverters.values())
        return list(dict.fromkeys(name for part in parts for name in part.required()))

    # photograph -> inversion

    def align(self, photo: Image.Image, index: int = 0) -> Image.Image:
        """The square crop around subject `index` of an upright RGB photograph. Raises AlignmentError."""
        return self.crop(photo, self.frame(photo, index))

    def frame(self, photo: Image.Image, index: int = 0) -> Square:
        """The square around subject `index`, in pixels of the photograph. Raises AlignmentError."""
        return self.aligner.frame(photo, self.aligner.subject(photo, index))

    def crop(self, photo: Image.Image, square: Square) -> Image.Image:
        """What a square of the photograph shows, at the generator's size. Raises AlignmentError."""
        return self.aligner.crop(photo, square, self.generator.size)

    def inverter(self, label: str | None = None) -> Inverter:
        """The named inverter, the first by default. Raises ConfigError."""
        return self._named("inverter", self.inverters, label or next(iter(self.inverters)))

    def invert(
        self, crop: Image.Image, inverter: str | None = None, steps: int | None = None
    ) -> Iterator[Inversion]:
        """Ever better inversions of a crop, by default in as many steps as the YAML says; close the iterator
        to cancel. Decoders are completed with the crop.
        """
        images = to_images(crop, self.generator.size).to(self.generator.mean())
        for inversion in self.inverter(inverter).invert(images, self.generator, steps=steps):
            own = inversion.generator
            completed = own.completed(images) if isinstance(own, Decoder) else own
            yield replace(inversion, generator=completed)

    def sample(self, seed: int, truncation: float | None = None) -> Inversion:
        """A generated picture as if it had been inverted."""
        return Inversion(self.generator.sample([seed], truncation), self.generator)

    # directions

    def source(self, label: str, layers: str | None = None, count: int | None = None) -> DirectionSource:
        """The named direction source, with other layers or another count than its YAML says."""
        source = self._named("direction source", self.sources, label)
        return replace(source, layers=layers or source.layers, count=count or source.count)

    def _named(self, kind: str, plugins: dict[str, Plugin], label: str) -> Plugin:
        if label not in plugins:
            raise ConfigError(f"no {kind} is called {label!r}; {self.name} has: {', '.join(plugins)}")
        return plugins[label]

    def _directions(
        self, label: str, layers: str | None = None, count: int | None = None
    ) -> dict[str, Direction]:
        """id -> direction of one source, optionally for other layers or another count."""
        source = self.source(label, layers, count)
        # a clear error before any work
        parse_layers(source.layers, self.generator.layers, self.generator.size)
        own = source.layers == self.sources[label].layers
        other = "" if own else "".join(source.layers.split())
        listed = source.directions(self.generator)
        return {str(DirectionId(direction.name, label, other)): direction for direction in listed}

    def _direction(self, identity: str) -> Direction:
        """The direction with this id; a bare name ("smile") is looked for in every source, in order."""
        wanted = DirectionId.parse(identity)
        if wanted.source:
            source = self.source(wanted.source, wanted.layers or None, self.generator.dim)
            return source.find(self.generator, wanted.within)
        for label, source in self.sources.items():
            for direction in self.directions(label).values():
                if direction.name.lower() == wanted.name.lower():
                    return source.find(self.generator, replace(wanted, name=direction.name).within)
        known = [d.name for source in self.sources for d in self.directions(source).values()]
        raise ConfigError(f"no direction is called {identity!r}; {self.name} has: {', '.join(known)}")

    # edit -> picture

    @torch.no_grad()
    def edited(self, latents: Latents, edit: Edit) -> Latents:
        """Latents moved by every direction of the edit; each move is taken from the unedited latents, so that
        the order does not matter and every slider undoes itself."""
        moves = [
            strength * self.direction(identity).step(latents)
            for identity, strength in edit.items()
            if strength
        ]
        return latents + torch.stack(moves).sum(0) if moves else latents

    def render(self, inversion: Inversion, edit: Edit | None = None, preview: bool = False) -> Image.Image:
        """The picture of an inversion's first latent after an edit; smaller and sooner with `preview`."""
        return to_pil(self._drawn(inversion, edit, preview)[1])[0]

    def view(self, inversion: Inversion, edit: Edit | None = None, preview: bool = False) -> View:
        """As `render`, with what `paste` needs."""
        latents, images = self._drawn(inversion, edit, preview)
        return View(images, self.mask.look(inversion.generator, latents, images))

    def paste(self, square: Square, before: View, after: View) -> Paste:
        """The change between two views of one inversion, of one size, for the photograph that its crop, the
        square, comes from."""
        mask = self.mask.between(before.look, after.look)
        return Paste(square, before.images, after.images, mask, self.mask.margin)

    def _drawn(self, inversion: Inversion, edit: Edit | None, preview: bool) -> tuple[Latents, Images]:
        latents = self.edited(inversion.latents[:1], edit or {})
        return latents, inversion.generator.render(latents, preview)
