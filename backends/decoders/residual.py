"""A residual of feature maps that follows the edit: what latents cannot say about a photograph.

The picture is rest(F(w) + d, w), with F(w) the maps after a layer (the F/W+ space of Kang et al., ICCV 2021,
section 3). Here d is a picture: `residual` holds the colours that are missing, and `gain` turns the colours
of a place into a change of its maps. It is moved along every edit by `transport`, without a trained network.
"""

from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Cut, Images, Latents, transport
from backends.decoders import Decoder, DecoderError
from backends.generators import Generator
from backends.losses import resize
from backends.networks.kept import Kept
from backends.transport import Motion

LEVELS = 127  # of int8


@dataclass(frozen=True)
class _Reference:
    """What the base draws of the unedited latents."""

    matched: Float[Tensor, "n channels side side"]  # the maps that correspondence is looked for in
    colours: Float[Tensor, "n 3 places places"]  # the small picture that the maps after `layer` tell


@dataclass(eq=False)
class Residual(Decoder):
    """One photograph's: all latents that it draws are edits of its own.

    The delta: `latents` (layers, dim) of the photograph, float16; `residual` (3, pixels, pixels), int8, times
    `scale` (1,); `gain` (colours, channels) and `head` (channels, colours), float16, from the colours of a
    place to its maps and back; `cut` (2,), uint8, the layer of these maps and the one that motion is seen in.
    """

    def __post_init__(self) -> None:
        try:
            layer, match = (int(number) for number in self.delta["cut"])
            shapes = {name: tuple(value.shape) for name, value in self.delta.items()}
            pixels, (colours, channels) = shapes["residual"][-1], shapes["gain"]
            wanted = {
                "latents": (self.base.layers, self.base.dim),
                "residual": (3, pixels, pixels),
                "scale": (1,),
                "gain": (colours, channels),
                "head": (channels, colours),
                "cut": (2,),
            }
            fits = shapes == wanted and all(torch.isfinite(value).all() for value in self.delta.values())
            with torch.no_grad():
                maps = self.base.cut(self.base.mean(), layer).maps if fits and match <= layer else None
        except (KeyError, IndexError, ValueError) as error:
            raise DecoderError("the stored residual does not fit this generator: it is incomplete") from error
        if maps is None or maps.shape[1] != channels or 3 * (pixels / maps.shape[-1]) ** 2 != colours:
            raise DecoderError("the stored residual does not fit this generator's feature maps")
        self.photograph: Images | None = None  # in memory only, see `completed`
        self._references, self._rests = Kept(), dict[bool, Tensor]()

    def completed(self, photograph: Images) -> "Residual":
        """Is the photograph, exactly, where nothing is edited: what the residual misses of it moves along.

        For as long as this decoder is in memory; no file and no link gets the photograph.
        """
        other = copy(self)
        other._rests = {}
        other.photograph = resize(photograph, self.size).to(self.own)
        return other

    def parameters(self) -> dict[str, Tensor]:
        return self.base.parameters()

    def tunable(self) -> Generator:
        return Residual(self.base.tunable(), self.delta)

    def synthesize(self, latents: Latents) -> Images:
        return self.resume(self.cut(latents, 0), latents)

    @torch.no_grad()
    def render(self, latents: Latents, preview: bool = False) -> Images:
        return torch.cat([self.resume(self.cut(w, self.layer), w, preview) for w in latents.split(1)])

    def cut(self, latents: Latents, layer: int) -> Cut:
        """From `layer` on the maps have the residual in them."""
        if layer < self.layer:
            return self.base.cut(latents, layer)
        cut = self.base.cut(latents, self.layer)
        return self.base.advance(self._added(cut, self.motion(latents)), latents, layer)

    def advance(self, cut: Cut, latents: Latents, layer: int) -> Cut:
        if cut.layer >= self.layer or layer < self.layer:
            return self.base.advance(cut, latents, layer)
        cut = self.base.advance(cut, latents, self.layer)
        return self.base.advance(self._added(cut, self.motion(latents)), latents, layer)

    def resume(self, cut: Cut, latents: Latents, preview: bool = False) -> Images:
        motion = self.motion(latents)
        if cut.layer < self.layer:
            cut = self._added(self.base.advance(cut, latents, self.layer), motion)
        picture = self.base.resume(cut, latents, preview)
        if self.photograph is None:
            return picture
        return picture + motion.moved(self._rest(preview)) * motion.seen_at(picture.shape[-1])

    @property
    def layer(self) -> int:
        """The layer behind which the residual is added."""
        return int(self.delta["cut"][0])

    @cached_property
    def own(self) -> Float[Tensor, "1 layers dim"]:
        """The latents of the photograph."""
        return self.delta["latents"][None].to(self.base.mean())

    @torch.no_grad()
    def motion(self, latents: Latents) -> Motion:
        """How the photograph follows from its own latents to these. Constant for gradients."""
        reference = self._references.get(self.parameters().values(), lambda: self._seen(self.own))
        now = self._seen(latents)
        matched, colours = (
            x.expand(len(latents), -1, -1, -1) for x in (reference.matched, reference.colours)
        )
        return transport.follow(now.matched, matched, now.colours, colours)

    def _seen(self, latents: Latents) -> _Reference:
        matched = self.base.cut(latents, int(self.delta["cut"][1])).maps
        maps = self.base.cut(latents, self.layer).maps
        colours = torch.einsum("nchw,co->nohw", maps, self.delta["head"].to(maps))
        return _Reference(matched, colours.unflatten(1, (3, -1)).mean(2))

    def _added(self, cut: Cut, motion: Motion) -> Cut:
        """Maps with the residual, where it is now."""
        side, pixels = cut.maps.shape[-1], self.delta["residual"].shape[-1]
        moved = motion.moved(self._colours) * motion.seen_at(pixels)
        change = torch.einsum("nohw,oc->nchw", F.pixel_unshuffle(moved, pixels // side), self._gain)
        return replace(cut, maps=cut.maps + change)

    @cached_property
    def _colours(self) -> Float[Tensor, "1 3 pixels pixels"]:
        return self.delta["residual"][None].to(self.own) * self.delta["scale"].to(self.own) / LEVELS

    @cached_property
    def _gain(self) -> Float[Tensor, "colours channels"]:
        return self.delta["gain"].to(self.own)

    @torch.no_grad()
    def _rest(self, preview: bool) -> Images:
        """What the residual misses of the photograph, in pixels. As float16: far below half a grey level."""
        if preview not in self._rests:
            assert self.photograph is not None
            plain = copy(self)
            plain.photograph = None
            drawn = plain.render(self.own, preview)
            self._rests[preview] = (resize(self.photograph.float(), drawn.shape[-1]) - drawn).half()
        return self._rests[preview].to(self.own)
