"""Inverter: images + generator -> Inversion. The contract; every other module here is one inverter."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field

from backends import Backend, Images, Latents
from backends.generators import Generator


@dataclass(frozen=True)
class Inversion:
    """Latents and the generator that decodes them (one that tunes the generator returns its own copy)."""

    latents: Latents
    generator: Generator
    step: int = 1  # steps done
    steps: int = 1  # steps planned; the last Inversion of a run has step == steps
    losses: dict[str, float] = field(default_factory=dict)  # unweighted terms, for the curious and the logs


class Inverter(Backend, ABC):
    """Fields of a concrete inverter are its YAML settings; weights load on first use."""

    @abstractmethod
    def invert(
        self, images: Images, generator: Generator, start: Latents | None = None
    ) -> Iterator[Inversion]:
        """Ever better inversions of `images` (any square size), the last one the result.

        `start` are latents to improve on; an inverter that starts nowhere (an encoder) ignores them.

        A feed-forward encoder yields once. Closing the iterator cancels the run; every Inversion yielded
        before stays valid. Not to be run under inference_mode: optimisation needs gradients.
        """
