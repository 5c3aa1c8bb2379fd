"""Trainer: settings -> a file that a plugin reads. The contract; every other public module is one trainer.

    python cli.py train configs/training/cats64.yaml data.path=photographs.zip

The key `trainer` of the YAML names the module, the other keys are the fields of its class. `_loop.py` calls
the methods below: it counts steps, keeps checkpoints, logs and sheets, and continues what was stopped.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from PIL import Image

from config import load, resolve
from plugins import build

if TYPE_CHECKING:  # the loop needs it; listing and building trainers does not
    from accelerate import Accelerator


@dataclass
class Every:
    """How often something is done, in steps; 0 = never."""

    log: int = 25
    checkpoint: int = 100
    sheet: int = 250
    metrics: int = 500


@runtime_checkable
class Part(Protocol):
    """What a checkpoint can hold: a module, an optimizer, a schedule."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass(kw_only=True)
class Trainer(ABC):
    """Fields of a concrete trainer are its YAML settings.

    Networks and data are loaded on first use, never before. The random numbers of a step depend on nothing
    but settings, step and process, so that a run which was stopped continues to the very same result.
    """

    folder: str  # of the checkpoint, logs and sheets: a run continues from what it finds there
    every: Every = field(default_factory=Every)
    losses: dict[str, float] = field(default_factory=dict)  # weights of the loss terms, by name

    def __post_init__(self) -> None:
        """Refuse what no run could use. Raises ValueError."""
        known = type(self).__dataclass_fields__["losses"].default_factory()  # type: ignore[misc]
        if unknown := self.losses.keys() - known.keys():
            raise ValueError(f"losses: no term is called {min(unknown)!r}; there are: {', '.join(known)}")

    @property
    def checkpoint(self) -> Path:
        """The file from which a run continues; it exists after the first checkpoint."""
        return resolve(self.folder) / "state.pt"

    @property
    @abstractmethod
    def steps(self) -> int:
        """How many steps a run has."""

    @property
    @abstractmethod
    def result(self) -> Path:
        """The file that `export` writes."""

    @abstractmethod
    def step(self, number: int, accelerator: "Accelerator") -> dict[str, float]:
        """Do step `number`, from 0 on; returns what the log averages.

        That is the value of each term of `losses` before its weight, and any other figures. With `parts`
        every process calls it for its share of the step, without them one process does the whole step.
        """

    @abstractmethod
    def export(self) -> None:
        """Write `result` from what has been learnt so far. Raises ConfigError where that is impossible.

        Called at checkpoints and at the end; must not change how the run goes on.
        """

    def parts(self) -> dict[str, Part]:
        """What a checkpoint holds, by name. None: every step leaves its own files in the folder."""
        return {}

    def sheets(self) -> dict[str, Image.Image]:
        """Pictures that show the state of the run, by the end of their file's name ("" for the main one)."""
        return {}

    def metrics(self) -> dict[str, float]:
        """Figures of merit that are too slow for every step."""
        return {}


def read(file: Path, overrides: Sequence[str] = ()) -> Trainer:
    """The trainer that a YAML file describes, with `overrides` such as "steps=10". Raises ConfigError."""
    settings = load(file, overrides)
    name = settings.pop("trainer", None)
    return build(Trainer, settings | {"name": name}, f"{file.name}: trainer")


def run(file: str | Path, overrides: Sequence[str] = ()) -> Path:
    """Train as a YAML file says, or go on with it; returns the file of the result. Raises ConfigError."""
    from training import _loop  # needs `accelerate`, which listing trainers does not

    trainer = read(Path(file), overrides)
    _loop.train(trainer)
    return trainer.result
