"""The loop that every trainer runs in: steps, checkpoints, logs, sheets. No maths."""

import csv
import logging
import time
from dataclasses import dataclass, field
from math import nan
from statistics import fmean

import torch
from accelerate import Accelerator
from tqdm import tqdm

from backends import device
from backends.cache import whole
from backends.malloc import kept_heap
from config import ConfigError, resolve
from training import Trainer

log = logging.getLogger(__name__)


class Processes(Accelerator):
    """Accelerate's processes, with a precision of their own.

    Accelerate keeps one precision for the life of the program, so a second run, or a test, would get that of
    the first. bf16 is used where the processor multiplies matrices of it (AMX), or the graphics card does.
    """

    def __init__(self, half: bool | None = None) -> None:
        super().__init__(cpu=not torch.cuda.is_available())
        amx = getattr(torch.cpu, "_is_amx_tile_supported", bool)
        able = torch.cuda.is_bf16_supported() if torch.cuda.is_available() else amx()
        self.half = able if half is None else half

    def autocast(self, autocast_handler: None = None) -> torch.autocast:  # type: ignore[override]
        """The context in which networks compute."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)


def train(trainer: Trainer, accelerator: Accelerator | None = None) -> None:
    """All steps that are left, then the export. Raises ConfigError."""
    Loop(trainer, accelerator or Processes()).run()


@dataclass
class Loop:
    """One run. Only the main process writes."""

    trainer: Trainer
    accelerator: Accelerator
    done: int = 0  # steps
    kept: int = -1  # steps done at the last checkpoint
    rows: list[dict[str, float]] = field(default_factory=list)  # of the steps since the last line of the log
    started: float = field(default_factory=time.perf_counter)

    def run(self) -> None:
        trainer, every = self.trainer, self.trainer.every
        self.folder = resolve(trainer.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        trainer.result.parent.mkdir(parents=True, exist_ok=True)
        self.parts = trainer.parts()
        self.restore()
        if self.done == 0 and every.sheet:
            self.sheet()
        name = type(trainer).__module__.rpartition(".")[2]
        steps = range(self.done, trainer.steps)
        with kept_heap():
            for number in tqdm(steps, name, initial=self.done, total=trainer.steps, disable=None):
                if self.parts or number % self.accelerator.num_processes == self.accelerator.process_index:
                    self.rows.append(trainer.step(number, self.accelerator))
                self.done += 1
                for what, interval in (
                    (self.report, every.log),
                    (self.sheet, every.sheet),
                    (self.measure, every.metrics),
                    (self.save, every.checkpoint),
                ):
                    if interval > 0 and self.done % interval == 0:
                        what()
            self.accelerator.wait_for_everyone()  # a step may have written files that the export reads
            self.save()
            if self.accelerator.is_main_process and not self.parts:
                trainer.export()
        self.accelerator.wait_for_everyone()

    def report(self) -> None:
        """Log the mean of what the last steps returned."""
        names = dict.fromkeys([*self.trainer.losses, *(name for row in self.rows for name in row)])
        values = {name: [row[name] for row in self.rows if name in row] for name in names}
        self.write("losses.csv", {name: fmean(x) if x else nan for name, x in values.items()})
        self.rows.clear()

    def measure(self) -> None:
        """Log the figures of merit."""
        if self.accelerator.is_main_process:
            self.write("metrics.csv", self.trainer.metrics())

    def write(self, name: str, figures: dict[str, float]) -> None:
        """Append a line to a CSV file whose first line names its columns."""
        if not figures or not self.accelerator.is_main_process:
            return
        known = [f"{name} {value:.3f}" for name, value in figures.items() if value == value]
        log.info("step %d: %s", self.done, ", ".join(known))
        row = {"step": self.done, "seconds": time.perf_counter() - self.started, **figures}
        file = self.folder / name
        fresh = not file.exists()
        columns = list(row) if fresh else file.read_text().partition("\n")[0].split(",")
        with file.open("a", newline="") as target:
            writer = csv.DictWriter(target, columns, extrasaction="ignore", lineterminator="\n")
            if fresh:
                writer.writeheader()
            writer.writerow({key: round(value, 5) for key, value in row.items()})

    def sheet(self) -> None:
        """Write the trainer's pictures to the folder `sheets`."""
        if not self.accelerator.is_main_process:
            return
        for ending, picture in self.trainer.sheets().items():
            (self.folder / "sheets").mkdir(exist_ok=True)
            picture.save(self.folder / "sheets" / f"{self.done:06d}{ending}.png")

    def save(self) -> None:
        """Write checkpoint and result; a run that is killed meanwhile keeps the old ones."""
        if not self.parts or not self.accelerator.is_main_process or self.kept == self.done:
            return
        state = {name: part.state_dict() for name, part in self.parts.items()}
        with whole(self.trainer.checkpoint) as partial:
            torch.save({"done": self.done, **state}, partial)
        self.trainer.export()
        self.kept = self.done

    def restore(self) -> None:
        """Continue from the checkpoint, if there is one. Raises ConfigError."""
        file = self.trainer.checkpoint
        if not self.parts or not file.is_file():
            return
        state = torch.load(file, map_location=device(), weights_only=True)
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state[name])
        except (KeyError, ValueError, RuntimeError) as error:
            raise ConfigError("folder: it holds a run of other settings; give an empty one") from error
        self.done = state["done"]
        log.info("continuing from step %d", self.done)
