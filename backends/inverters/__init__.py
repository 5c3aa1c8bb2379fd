"""Inverter: images + generator -> Inversion. The contract; every other module here is one inverter."""

from abc import ABC, abstractmethod
from collections.abc import Generator as GeneratorType
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from backends import Backend, Images, Latents
from backends.generators import Generator


@dataclass(frozen=True)
class Inversion:
    """Latents and the generator that decodes them: the domain's, or a `Decoder` that the inverter made."""

    latents: Latents
    generator: Generator
    step: int = 1  # steps done
    steps: int = 1  # steps planned; the last Inversion of a run has step == steps
    losses: dict[str, float] = field(default_factory=dict)  # unweighted terms, for the curious and the logs


class Inverter(Backend, ABC):
    """Fields of a concrete inverter are its YAML settings; weights load on first use."""

    steps: int = 1  # how often the result is improved, unless `invert` is told otherwise; 1 = a single look

    @abstractmethod
    def invert(self, images: Images, generator: Generator, steps: int | None = None) -> Iterator[Inversion]:
        """Ever better inversions of `images` (any square size), the last one the result.

        `steps` takes the place of the setting; inverters that look once ignore it. Closing the iterator
        cancels the run; every Inversion yielded before stays valid. Not to be run under inference_mode:
        optimisation needs gradients.
        """


def check_least(least: int, settings: object, *names: str) -> None:
    """Raises ValueError if one of the named settings is smaller."""
    for name in names:
        if getattr(settings, name) < least:
            raise ValueError(f"{name} must be at least {least}, it is {getattr(settings, name)}")


def begun(
    inverter: Inverter, images: Images, generator: Generator, steps: int
) -> GeneratorType[Inversion, None, Inversion]:
    """The run of an inverter that another one continues with `steps` steps of its own.

    Yields all but its last Inversion, which it returns: the next inverter yields that as its own first.
    """
    last = None
    for inversion in inverter.invert(images, generator):
        if last is not None:
            yield last
        last = replace(inversion, steps=inversion.steps + steps)
    assert last is not None, "an inverter yields at least once"
    return last
