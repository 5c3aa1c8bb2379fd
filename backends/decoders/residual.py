"""A residual that follows the edit: what latents cannot say about a photograph, moved along in closed form.

StyleRes (Pehlivan et al., CVPR 2023) and StyleFeatureEditor (Bobkov et al., CVPR 2024) keep a residual of
feature maps and train a network to move it. Here the residual is one of colours, and the generator's own maps
say where it goes (`backends/transport.py`).
"""

import threading
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from backends import Cut, Images, Latents, transport
from backends.comparison import Comparison
from backends.decoders import Decoder, DecoderError
from backends.generators import Generator
from backends.losses import resize
from backends.networks.kept import Kept
from backends.transport import Match, Motion, Still

LEVELS = 127  # of int8
LARGEST = 256  # side of the stored residual, pixels
MOST_SCENES = 12  # decoders whose unedited pictures and features are kept, 45 MB each at 1024 pixels


class _Correspondence:
    """Matches the maps of edits with those of the unedited latents; the last match is kept.

    Sliders that move only layers behind `layer` (colours) leave it as it is.
    """

    def __init__(self, base: Generator, own: Float[Tensor, "1 layers dim"], layer: int) -> None:
        self.base, self.layer = base, layer
        self.comparison = Comparison.of(base.cut(own, layer).maps)
        self.features = self._features(own)
        self._kept = own[:, : layer + 1].clone(), Match.same(self.features)
        self._still = self._kept

    def match(self, latents: Latents) -> Match:
        read = latents[:, : self.layer + 1]
        for known, match in (self._still, self._kept):
            if torch.equal(known, read):
                return match
        old = self.features.expand(len(latents), -1, -1, -1)
        self._kept = read.clone(), Match.of(self._features(latents), old)
        return self._kept[1]

    def _features(self, latents: Latents) -> transport.Maps:
        read = self.base.read(latents, self.layer, self.comparison.matrix)
        return self.comparison.features(read)


@dataclass
class _Scene:
    """What is made of a decoder's delta and photograph, and can be made again."""

    correspondence: _Correspondence
    stills: dict[int, Still] = field(default_factory=dict)  # by side


class _Scenes:
    """Those of the decoders that were used last, of all visitors. None is kept alive by them."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Residual, Kept] = WeakKeyDictionary()  # the last used comes last
        self._lock = threading.Lock()

    def of(self, decoder: "Residual") -> Kept:
        with self._lock:
            kept = self._kept[decoder] = self._kept.pop(decoder, None) or Kept()
            while len(self._kept) > MOST_SCENES:
                del self._kept[next(iter(self._kept))]
        return kept


_SCENES = _Scenes()


@dataclass(eq=False)
class Residual(Decoder):
    """One photograph's: all latents that it draws are edits of its own.

    The delta: `latents` (layers, dim) of the photograph, float16; `residual` (3, pixels, pixels), int8, what
    the base's picture of them misses, times `scale` (1,); `match` (1,), uint8, the layer whose maps say what
    moved.
    """

    def __post_init__(self) -> None:
        shapes = {name: tuple(value.shape) for name, value in self.delta.items()}
        pixels = shapes.get("residual", (0,))[-1]
        wanted = {
            "latents": (self.base.layers, self.base.dim),
            "residual": (3, pixels, pixels),
            "scale": (1,),
            "match": (1,),
        }
        if shapes != wanted or not 0 < pixels <= self.base.size or not 0 <= self.match < self.base.layers:
            raise DecoderError("the stored residual does not fit this generator")
        if not all(torch.isfinite(value).all() for value in self.delta.values()):
            raise DecoderError("the stored residual does not fit: it has values that are not finite")
        self.photograph: UInt8[Tensor, "1 3 side side"] | None = None  # in memory only, see `completed`

    @staticmethod
    @torch.no_grad()
    def of(
        base: Generator, latents: Float[Tensor, "1 layers dim"], photograph: Images, match: int
    ) -> "Residual":
        """The decoder that draws `photograph` of `latents`; up to the size and the levels of what is stored.

        Latents are rounded to float16, as links keep them: the photograph's are `own`.
        """
        side = min(base.size, LARGEST)
        latents = latents.detach().half()
        drawn = base.render(latents.float())
        missing = resize(photograph, side) - resize(drawn, side)
        scale = missing.abs().amax().clamp(min=1e-6)
        delta = {
            "latents": latents[0],
            "residual": (missing[0] * (LEVELS / scale)).round().to(torch.int8),
            "scale": scale[None],
            "match": torch.tensor([match], dtype=torch.uint8),
        }
        return Residual(base, delta)

    def completed(self, photograph: Images) -> "Residual":
        """Is the photograph, to the last pixel, where nothing is edited.

        For as long as this decoder is in memory; no file and no link gets the photograph.
        """
        other = copy(self)
        other.photograph = ((resize(photograph, self.size) + 1) * 127.5).round().clamp(0, 255).byte()
        return other

    def parameters(self) -> dict[str, Tensor]:
        return self.base.parameters()

    def tunable(self) -> Generator:
        return Residual(self.base.tunable(), self.delta)

    def synthesize(self, latents: Latents) -> Images:
        return self._followed(self.base.synthesize(latents), latents)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        return torch.cat([self._rendered(w, preview) for w in latents.split(1)])

    def _rendered(self, latents: Float[Tensor, "1 layers dim"], preview: bool) -> Images:
        self._matched(latents)  # first: the generator may go on from the maps that this reads
        return self._followed(self.base.render(latents, preview), latents)

    def cut(self, latents: Latents, layer: int) -> Cut:
        return self.base.cut(latents, layer)

    def advance(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        return self.base.advance(cut, latents, layer)

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        return self._followed(self.base.resume(cut, latents, preview), latents)

    @property
    def match(self) -> int:
        """The layer whose maps say what moved."""
        return int(self.delta["match"])

    @cached_property
    def own(self) -> Float[Tensor, "1 layers dim"]:
        """The latents of the photograph."""
        return self.delta["latents"][None].to(self.base.mean())

    @torch.no_grad()
    def motion(self, drawn: Images, latents: Latents) -> Motion:
        """How the photograph follows from its own latents to these; `drawn` is the base's picture of them."""
        before = self._still(drawn.shape[-1]).small
        return transport.follow(self._matched(latents), drawn, before.expand(len(drawn), -1, -1, -1))

    def _matched(self, latents: Latents) -> Match:
        return self._scene.correspondence.match(latents)

    def _followed(self, drawn: Images, latents: Latents) -> Images:
        """The base's picture with the photograph's own look in it."""
        motion = self.motion(drawn.detach(), latents)
        return transport.carried(drawn, motion, self._still(drawn.shape[-1]))

    @property
    def _scene(self) -> _Scene:
        """Of the weights as they are now."""
        make = lambda: _Scene(_Correspondence(self.base, self.own, self.match))  # noqa: E731
        return _SCENES.of(self).get(self.parameters().values(), make)

    def _still(self, side: int) -> Still:
        """Of a picture of this size; those that were asked for are kept."""
        stills = self._scene.stills
        if side not in stills:
            stills[side] = self._unedited(side)
        return stills[side]

    @torch.no_grad()
    def _unedited(self, side: int) -> Still:
        drawn = self.base.render(self.own, preview=side < self.size).clone()
        return Still(drawn, resize(self._whole(), side))

    def _whole(self) -> Images:
        """The photograph; what is stored says of it, if it is not in memory."""
        if self.photograph is not None:
            return self.photograph.to(self.own) / 127.5 - 1
        levels = self.delta["residual"][None].to(self.own) * self.delta["scale"].to(self.own) / LEVELS
        return self.base.render(self.own) + transport.resized(levels, self.size)
