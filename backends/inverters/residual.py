"""Inversion that keeps the photograph: latents for what edits mean, a residual of feature maps for the rest.

The latents are another inverter's. What is still missing of the picture is fitted in closed form: after the
residual's layer the picture is nearly linear in the maps, so a linear head tells which colours the maps of a
place draw, and the most likely change of the maps for a change of colours is that of a Kalman filter whose
covariance is the maps' own (Kalman, 1960, equation 28). The head is only nearly right: a few repetitions
with the true picture correct it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents
from backends.decoders import residual as decoder
from backends.generators import Generator
from backends.inverters import Inversion, Inverter, begun, check_least
from backends.losses import resize
from plugins import build

RIDGE = 0.01  # of the head's least squares, relative to the maps' mean variance
MATCHED = 64  # most places, to a side, of the maps in which motion is looked for


@dataclass
class Residual(Inverter):
    """Finds a `Residual` decoder for one photograph."""

    start: Any = field(default_factory=lambda: {"name": "optimize"})  # the inverter that finds the latents
    steps: int = 6  # corrections of the residual, each the time of a picture
    layer: int | None = None  # of W+, behind which the residual is added; None = the generator's `cut_layer`
    match: int | None = (
        None  # whose maps say what moved; None = the last one with maps of at most 64 places a side
    )
    noise: float = 0.02  # variance of a colour that the maps need not explain, relative to what they draw

    def __post_init__(self) -> None:
        check_least(1, self, "steps")
        if self.noise <= 0:
            raise ValueError(f"noise must be above 0, it is {self.noise}")
        self._first = build(Inverter, self.start, "start")

    def required(self) -> list[str]:
        return self._first.required()

    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        """One photograph at a time. Raises ValueError for more."""
        if len(images) != 1:
            raise ValueError(f"a residual belongs to one photograph, here are {len(images)}")
        steps = steps or self.steps
        first = yield from begun(self._first, images, generator, steps)
        yield first
        latents = first.latents.detach().half().float()  # as links keep them
        search = _Search(self, images, generator, latents)
        for step in range(1, steps + 1):
            search.advance()
            yield Inversion(latents, search.decoder(), first.step + step, first.step + steps, search.losses)


class _Search:
    """The state of one run."""

    @torch.no_grad()
    def __init__(self, settings: Residual, images: Images, generator: Generator, latents: Latents) -> None:
        self.generator, self.latents = generator, latents
        layer = generator.cut_layer if settings.layer is None else settings.layer
        match = _matching(generator, latents, layer) if settings.match is None else settings.match
        self.start = generator.cut(latents, layer)
        self.side = self.start.maps.shape[-1]
        self.pixels = min(2 * self.side, generator.size)
        self.colours = self._colours(generator.resume(self.start, latents))
        head, self.gain = _closed_form(self.start.maps, self.colours, settings.noise)
        self.target = self._colours(images)
        self.residual = torch.zeros_like(self.target)
        self.delta = {
            "latents": latents[0].half(),
            "gain": self.gain.half(),
            "head": head.half(),
            "cut": torch.tensor([layer, match], dtype=torch.uint8),
        }

    @torch.no_grad()
    def advance(self) -> None:
        """Put into the residual what the picture misses, and draw it again."""
        self.residual += self.target - self.colours
        change = torch.einsum("nohw,oc->nchw", self.residual, self.gain)
        cut = replace(self.start, maps=self.start.maps + change)
        self.colours = self._colours(self.generator.resume(cut, self.latents))

    @property
    def losses(self) -> dict[str, float]:
        return {"pixel": float((self.target - self.colours).square().mean())}

    def decoder(self) -> decoder.Residual:
        picture = F.pixel_shuffle(self.residual, self.pixels // self.side)[0]
        scale = picture.abs().amax().clamp(min=1e-6)
        levels = (picture * (decoder.LEVELS / scale)).round().to(torch.int8)
        return decoder.Residual(self.generator, self.delta | {"residual": levels, "scale": scale[None]})

    def _colours(self, images: Images) -> Float[Tensor, "1 colours side side"]:
        """The colours that belong to every place of the maps."""
        return F.pixel_unshuffle(resize(images, self.pixels), self.pixels // self.side)


def _closed_form(
    maps: Float[Tensor, "1 channels side side"], colours: Float[Tensor, "1 colours side side"], noise: float
) -> tuple[Float[Tensor, "channels colours"], Float[Tensor, "colours channels"]]:
    """The head H, colours = maps H by least squares, and the Kalman gain K, which turns missing colours r
    into the change r K of the maps: K' = C H (H' C H + noise)^-1 with the maps' covariance C.
    """
    places, wanted = (x[0].flatten(1).T for x in (maps, colours))
    places, wanted = places - places.mean(0), wanted - wanted.mean(0)
    covariance = places.T @ places / len(places)
    ridge = RIDGE * covariance.diagonal().mean() * torch.eye(len(covariance), device=maps.device)
    head = torch.linalg.solve(covariance + ridge, places.T @ wanted / len(places))
    drawn = head.T @ covariance @ head
    drawn += noise * drawn.diagonal().mean() * torch.eye(len(drawn), device=maps.device)
    return head, torch.linalg.solve(drawn, (covariance @ head).T)


def _matching(generator: Generator, latents: Latents, layer: int) -> int:
    """The last layer up to `layer` whose maps have at most MATCHED places a side."""
    while layer > 0 and generator.cut(latents, layer).maps.shape[-1] > MATCHED:
        layer -= 1
    return layer
