"""InterFaceGAN: normals of the hyperplanes that separate attributes (Shen et al., CVPR 2020, TPAMI 2020)."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from backends.generators import Generator
from config import ConfigError
from directions import Direction, DirectionSource, on_layers, split_conditions, unknown
from directions._statistics import note, spread
from directions._stored import Stored, read

DEPENDENT = 1e-3  # length of what a projection leaves, of 1, under which only rounding errors are left


@dataclass
class InterFaceGAN(DirectionSource):
    """Stored boundaries of attributes, alone or conditional on others.

    `find` also knows "smile | keep gender, age": the boundary of smile projected so that gender and age do
    not change. Such a name can be asked for whatever `keep` says, and is what a link stores.

    Unlike in the paper, normals may differ from layer to layer, and a strength counts standard deviations of
    the latents instead of lengths.
    """

    file: str = ""  # of directions (see directions/_stored.py), relative to the project's folder
    files: dict[str, str] = field(default_factory=dict)  # name -> file of that one direction
    keep: list[str] = field(default_factory=list)  # attributes that no other direction may change
    limit: float = 3.0  # slider ends, standard deviations of the latents, for files that do not say

    def directions(self, generator: Generator) -> list[Direction]:
        return [self.find(generator, name) for name in list(self.stored())[: self.count]]

    def find(self, generator: Generator, name: str) -> Direction:
        """The direction of an attribute, also beyond `count` or with its own "| keep". Raises ConfigError."""
        attribute, conditions = split_conditions(name)
        keep = [other for other in conditions or self.keep if other != attribute]
        stored = self.stored()
        for wanted in (attribute, *keep):
            if wanted not in stored:
                raise unknown(wanted, stored)
        boundary = stored[attribute]
        vector = boundary.layered(generator, attribute)
        if keep:
            others = torch.stack([stored[other].layered(generator, other) for other in keep])
            try:
                vector = conditional(vector, others)
            except ValueError as error:
                raise ConfigError(f"{attribute} cannot change without {', '.join(keep)}: {error}") from error
        chosen = boundary.chosen(self.layers, generator)
        vector = on_layers(vector[chosen].float(), chosen, generator.layers)
        length = spread(generator, vector)
        accuracy = f"accuracy {boundary.accuracy:.0%}" if boundary.accuracy else ""
        text = note(length, boundary.note, accuracy, f"keeps {', '.join(keep)}" if keep else "")
        limit = boundary.limit or self.limit
        return Direction.linear(name, length * vector, -limit, limit, text, conditions=tuple(stored))

    def stored(self) -> dict[str, Stored]:
        """The boundaries of all files by name. Raises ConfigError."""
        found = read(self.file) if self.file else {}
        for name, file in self.files.items():
            directions = read(file)
            if len(directions) != 1:
                raise ConfigError(f"{name}: its file holds several directions; give it as `file:` instead")
            [found[name]] = directions.values()
        if not found:
            raise ConfigError("InterFaceGAN needs `file:` (several boundaries) or `files:` (name: file)")
        return found


def conditional(
    vector: Float[Tensor, "layers dim"], others: Float[Tensor, "k layers dim"]
) -> Float[Tensor, "layers dim"]:
    """`vector` without its projection on the span of `others`, layer by layer, at its old length.

    The conditional manipulation of the paper: for one condition c of unit length n - (n.c) c, for two its
    closed form, for more the same least squares. Raises ValueError when nothing of `vector` would be left.
    """
    conditions = others.permute(1, 2, 0)  # (layers, dim, k)
    # singular values rather than the Gram matrix: conditions may depend on each other
    shares = torch.linalg.pinv(conditions) @ vector[..., None]  # (layers, k, 1)
    left = vector - (conditions @ shares)[..., 0]
    length, wanted = left.norm(dim=1, keepdim=True), vector.norm(dim=1, keepdim=True)
    if (length < DEPENDENT * wanted).any():
        raise ValueError("it is the same direction")
    return left / length.clamp(min=1e-30) * wanted
