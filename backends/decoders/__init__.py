"""Decoder: a generator that an inverter made for one photograph. The contract; other modules are decoders.

A decoder is the domain's generator plus a *delta*: a few named tensors. Latents files and share links keep
the delta and the decoder's name, never whole weights, and restore it on the same generator.
"""

import hashlib
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from backends import Images, Latents
from backends.generators import Generator
from config import ConfigError, UserError
from plugins import find

DELTA = "delta/"  # before the names of a delta's tensors in latents files and share records

Delta = dict[str, Tensor]


def _of_base(name: str) -> Any:
    return property(attrgetter(f"base.{name}"))


class DecoderError(UserError):
    """A stored decoder that cannot be restored here; the message is for whoever opens it."""


@dataclass(eq=False)
class Decoder(Generator, ABC):
    """Has the latent space of its `base` and draws other pictures; a subclass says which.

    A subclass takes just these two fields, and its `__post_init__` raises DecoderError for a delta that does
    not fit the base. The delta is stored in the dtypes it has: float16 or int8 keep links small. `parameters`
    and `tunable` are those of the generator with the delta in it.
    """

    base: Generator
    delta: Delta

    @classmethod
    def plugin(cls) -> str:
        """The name by which `restored` finds the class again."""
        return cls.__module__.rpartition(".")[2]

    @cached_property
    def fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.base.fingerprint}\n{self.plugin()}\n".encode())
        for name, values in sorted(Stored.of(self).arrays().items()):
            digest.update(f"{name} {values.dtype} {values.shape}\n".encode() + values.tobytes())
        return digest.hexdigest()

    def completed(self, photograph: Images) -> Generator:
        """This decoder for as long as the photograph is in memory: better where it can make use of it.

        The photograph (one image) never gets into the delta, so that neither files nor links hold it.
        """
        return self

    size = _of_base("size")
    layers = _of_base("layers")
    dim = _of_base("dim")
    z_dim = _of_base("z_dim")
    cut_layer = _of_base("cut_layer")
    truncation = _of_base("truncation")

    def mapping(self, z: Float[Tensor, "n z_dim"]) -> Latents:
        return self.base.mapping(z)

    def mean(self) -> Float[Tensor, "1 layers dim"]:
        return self.base.mean()

    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        return self.base.affines()


@dataclass(frozen=True)
class Stored:
    """What is kept of a generator beside latents: enough to draw the same picture again, or to refuse."""

    fingerprint: str = ""  # of the domain's generator; empty when unknown
    decoder: str = ""  # name of the decoder; empty = the domain's generator itself
    delta: Mapping[str, Tensor] | None = None

    @staticmethod
    def of(generator: Generator) -> "Stored":
        if isinstance(generator, Decoder):
            return Stored(generator.base.fingerprint, generator.plugin(), generator.delta)
        return Stored(generator.fingerprint)

    def arrays(self) -> dict[str, np.ndarray]:
        """The delta by name, in the dtypes it has."""
        return {name: value.detach().cpu().contiguous().numpy() for name, value in (self.delta or {}).items()}

    def restored(self, generator: Generator) -> Generator:
        """`generator` (the domain's), or the decoder on it. Raises DecoderError, never draws another face."""
        if not self.decoder:
            return generator
        if self.fingerprint != generator.fingerprint:
            raise DecoderError(
                "this inversion changed a copy of another generator, and would show another picture on this "
                "one. Open it in the domain that it was made in; if that has new weights, invert the "
                "photograph again."
            )
        try:
            plugin = find(Decoder, self.decoder)  # type: ignore[type-abstract]
            return plugin(generator, dict(self.delta or {}))  # pyright: ignore[reportAbstractUsage]
        except ConfigError as error:
            raise DecoderError(f"this inversion needs the decoder {self.decoder!r}: {error}") from error
