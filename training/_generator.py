"""What trainers share that look into one finished generator."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from backends.generators import Generator
from config import resolve
from plugins import build
from training import Trainer


@dataclass(kw_only=True)
class GeneratorTrainer(Trainer):
    """Learns something of a generator and writes it to a file."""

    generator: dict[str, Any]
    out: str  # the file that a plugin reads

    @property
    def result(self) -> Path:
        return resolve(self.out)

    @cached_property
    def network(self) -> Generator:
        """The generator. Raises ConfigError."""
        return build(Generator, self.generator, "generator")
