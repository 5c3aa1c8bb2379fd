"""StyleSpace: single style channels, each of which changes one thing in one place (Wu et al., CVPR 2021)."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from config import ConfigError, checked
from directions import Direction, DirectionSource, on_layers, unknown
from directions._cache import by_file, remembered
from directions._statistics import note, statistics


@dataclass(frozen=True)
class Channel:
    """One channel of a file or of the settings."""

    layer: int  # of W+, that sets it
    channel: int  # row of that layer's affine matrix
    sign: int = 1  # -1: a positive strength lowers it
    limit: float | None = None  # slider ends, standard deviations of the channel
    note: str = ""


@dataclass
class StyleSpace(DirectionSource):
    """Style channels by name, ranked by attributes with `training/stylespace.py`, or by hand.

    An edit is a step in W+, so a channel is changed by the most probable step of its layer's latent that
    changes it and leaves the layer's other channels alone (as far as `ridge` allows: 0 = exactly, by steps
    that may lead far from any sample). A strength of 1 is one standard deviation of the channel. Layers of
    StyleGAN2 that its colours read too change those a little; ours are read once each, so that this is the
    paper's edit.
    """

    file: str = ""  # .json, name -> Channel, relative to the project's folder
    channels: dict[str, str] = field(default_factory=dict)  # name -> "layer:channel"; "layer:-channel": less
    ridge: float = 1e-4  # of the mean variance of a layer's channels
    limit: float = 6.0  # slider ends, for files that do not say
    unit: ClassVar[str] = "channel"

    def directions(self, generator: Generator) -> list[Direction]:
        """Those on the chosen layers, in the file's order."""
        chosen = self.chosen(generator)
        known = [name for name, channel in self.known().items() if channel.layer in chosen]
        return [self.find(generator, name) for name in known[: self.count]]

    def find(self, generator: Generator, name: str) -> Direction:
        """A named channel, or any other as "3:120". Raises ConfigError."""
        known = self.known()
        if name not in known and ":" not in name:
            raise unknown(name, known)
        channel = known[name] if name in known else parse(name)
        layer, number = channel.layer, channel.channel
        if layer >= generator.layers or number >= len(generator.affines()[layer]):
            raise ConfigError(f"{name}: the generator has no channel {number} in layer {layer}")
        vector = channel.sign * moves(generator, layer, self.ridge)[number]
        text = note(float(vector.norm()), channel.note, f"channel {number} of layer {layer}")
        limit = channel.limit or self.limit
        return Direction.linear(name, on_layers(vector, [layer], generator.layers), -limit, limit, text)

    def known(self) -> dict[str, Channel]:
        """The named channels. Raises ConfigError."""
        found = dict(read(self.file)) if self.file else {}
        found |= {name: parse(text) for name, text in self.channels.items()}
        if not found:
            raise ConfigError("StyleSpace needs `file:`, or `channels:` (name: layer:channel)")
        return found


@remembered
@torch.no_grad()
def moves(generator: Generator, layer: int, ridge: float) -> Float[Tensor, "styles dim"]:
    """Per channel of a layer, the step of its latent that raises it, and it alone, by a standard deviation.

    The conditional mean of w given the channels, for normal w of covariance C and affine matrix A:
    C Aᵀ (A C Aᵀ + ridge)⁻¹ e, at the length at which the channel's own change is its standard deviation.
    """
    covariance = statistics(generator).covariance.double()
    covariance = covariance[layer] if len(covariance) > 1 else covariance[0]
    affine = generator.affines()[layer].double()
    styles = affine @ covariance @ affine.T
    variance = styles.diagonal().clamp(min=1e-30)
    regular = styles + max(ridge, 1e-9) * variance.mean() * torch.eye(len(styles)).to(styles)
    found = torch.linalg.solve(regular, affine @ covariance)  # (styles, dim)
    own = (found * affine).sum(1)
    return (found * (variance.sqrt() / own.clamp(min=1e-12))[:, None]).float()


def parse(text: str) -> Channel:
    """The channel of "6:113", or of "6:-113", which lowers it. Raises ConfigError."""
    layer, _, channel = text.partition(":")
    digits = channel.strip().removeprefix("-")
    if not layer.strip().isdecimal() or not digits.isdecimal():
        raise ConfigError(f"StyleSpace: cannot read channel {text!r}; write, say, '6:113'")
    return Channel(int(layer), int(digits), -1 if channel.strip().startswith("-") else 1)


@by_file
def read(path: Path) -> dict[str, Channel]:
    """The channels of a file. Raises ConfigError."""
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or not all(isinstance(entry, dict) for entry in content.values()):
        raise ValueError("expected names with layer and channel each")
    return {name: checked(Channel, entry, f"{path.name}: {name}") for name, entry in content.items()}
