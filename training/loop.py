"""The training loop: data, schedule, checkpoints, samples, log. No maths.

Every random number of a step is drawn from the run's seed, the step and the process, so a run that was
stopped continues to the very result it would have had.
"""

import csv
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from backends import Images
from backends.cache import whole
from backends.memory import kept_heap
from backends.networks.linear_encoder import LinearEncoder
from training import data, layout, metrics, players, sheets, transfer
from training import encoder as encoder_fit
from training.gan import Gan, rehearse, step
from training.settings import Run, read

CALIBRATION = 64  # photographs from which the discriminator's constants are set
logger = logging.getLogger(__name__)


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Train as a YAML file says (and `overrides`, as in "data.path=photos"); returns the file of the weights.

    Continues from the checkpoint in the run's folder if there is one. Raises ConfigError.
    """
    settings = read(Path(config), overrides)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision=_precision())
    torch.manual_seed(settings.seed)
    with kept_heap():
        return Loop(settings, accelerator).train()


def _precision() -> str:
    """bf16 where the processor multiplies matrices of it (AMX) or the graphics card does, otherwise fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported() else "no"
    amx = getattr(torch.cpu, "_is_amx_tile_supported", None)
    return "bf16" if amx is not None and amx() else "no"


@dataclass
class Loop:
    """One run: what is loaded once, and the schedule around `gan.step`."""

    settings: Run
    accelerator: Accelerator
    done: int = 0  # steps
    started: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.folder = Path(self.settings.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        device = self.accelerator.device
        network = players.generator(self.settings)
        self.photographs, self.unseen = data.load(self.settings.data, network.size)
        if self.settings.photographs:
            count = self.settings.photographs
            self.photographs = data.Photographs(
                self.photographs.pixels[:count], self.photographs.names[:count]
            )
        self.order = data.Order(len(self.photographs), self.settings.seed)
        discriminator = players.discriminator(self.settings, network.size)
        examples = self.photographs.images(self.order.batch(0, CALIBRATION))
        discriminator.calibrate(examples)
        encoder = LinearEncoder(network.mean.shape[0])
        going_on = self.checkpoint.is_file()  # then all of this comes from there
        if not going_on and not players.inherit(self.settings, discriminator, encoder):
            everything = _parts(list(range(len(self.photographs))))
            encoder_fit.fit(encoder, map(self.photographs.images, everything), self.settings.nats)
            if self.settings.start in ("faces", "scratch") and network.layout is not None:
                layout.fit(network, encoder, examples)
        coarse = transfer.coarse_names(network, self.settings.rates.frozen)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.gan = Gan(network, discriminator, encoder, coarse, self.settings.rates).to(device)
        if going_on:
            self.restore()

    @property
    def checkpoint(self) -> Path:
        """Everything needed to continue."""
        return self.folder / players.STATE

    @property
    def weights(self) -> Path:
        """What a generator plugin reads: the moving average, in float16."""
        return self.folder / players.WEIGHTS

    def train(self) -> Path:
        """All steps that are left."""
        bar = tqdm(
            range(self.done, self.settings.steps), initial=self.done, total=self.settings.steps, disable=None
        )
        sums: dict[str, float] = {}
        every = self.settings.every
        if self.done == 0:
            self.sheet()
        for _ in bar:
            self.wait()
            for name, value in self.step().items():
                sums[name] = sums.get(name, 0.0) + value / every.log
            if _due(self.done, every.log):
                terms = {name: sums.get(name, 0.0) for name in self.settings.rates.weights}
                self.log("losses.csv", {**terms, "seconds": time.perf_counter() - self.started})
                sums = {}
            if _due(self.done, every.sheet):
                self.sheet()
            if _due(self.done, every.metrics):
                self.measure()
            if _due(self.done, every.checkpoint) or self.done == self.settings.steps:
                self.save()
        return self.weights

    def step(self) -> dict[str, float]:
        """One update on this process's share of the step's photographs."""
        settings, rank, ranks = self.settings, self.accelerator.process_index, self.accelerator.num_processes
        numbers = torch.Generator().manual_seed((settings.seed * 1_000_003 + self.done) * 64 + rank)
        chosen = self.order.batch(self.done, settings.batch, rank, ranks)
        photographs = self.photographs.images(chosen).to(self.accelerator.device)
        flipped = torch.rand(len(chosen), generator=numbers) < 0.5
        photographs[flipped] = photographs[flipped].flip(3)
        if self.done < settings.rehearsal:
            terms = rehearse(self.gan, photographs, numbers, self.accelerator)
        else:
            terms = step(self.gan, photographs, numbers, settings.augmentation, self.accelerator)
        self.done += 1
        self.gan.update_average(settings.batch * ranks, self.done * settings.batch * ranks)
        return terms

    def wait(self) -> None:
        """Pause while the pause file exists."""
        while self.settings.pause_file and Path(self.settings.pause_file).exists():
            time.sleep(5)

    # what a run leaves behind; only the first process writes

    def log(self, name: str, row: dict[str, float]) -> None:
        """Append a row to a CSV file, with the steps and the pictures seen so far."""
        if not self.accelerator.is_main_process:
            return
        row = {"step": self.done, "pictures": self.seen, **row}
        file = self.folder / name
        fresh = not file.exists()
        with file.open("a", newline="") as target:
            writer = csv.DictWriter(target, list(row), extrasaction="ignore")
            if fresh:
                writer.writeheader()
            writer.writerow({key: round(value, 5) for key, value in row.items()})

    @property
    def seen(self) -> int:
        """Photographs shown so far, over all processes."""
        return self.done * self.settings.batch * self.accelerator.num_processes

    def sheet(self) -> None:
        """A contact sheet of 32 samples at truncation 1, always of the same seeds."""
        if self.accelerator.is_main_process:
            images = sheets.samples(self.gan.average, list(range(32)))
            sheets.save(images, 8, self.folder / "sheets" / f"{self.done:06d}.png")
            if len(self.unseen) and self.settings.rates.encoded:
                sheets.save(self.drawn_again(), 8, self.folder / "sheets" / f"{self.done:06d}_unseen.png")

    @torch.no_grad()
    def drawn_again(self, count: int = 16) -> Images:
        """Rows of eight unseen photographs, each above a row of what comes back of them."""
        photographs = self.unseen.images(list(range(min(count, len(self.unseen)))))
        photographs = photographs.to(self.accelerator.device)
        z = self.gan.encoder.draw(photographs, torch.Generator().manual_seed(0))
        pairs = zip(photographs.split(8), self.gan.average(z).float().split(8), strict=True)
        return torch.cat([row for pair in pairs for row in pair])

    def measure(self) -> None:
        """Log the figures of merit of the moving average."""
        if not self.accelerator.is_main_process:
            return
        begun = time.perf_counter()
        seeds = _parts(list(range(10_000, 10_000 + self.settings.samples)))
        ours = metrics.measure(sheets.samples(self.gan.average, part) for part in seeds)
        row = metrics.figures(ours, self.real)
        logger.info("step %d: %s", self.done, row)
        self.log("metrics.csv", {**row, "seconds": time.perf_counter() - begun})

    @property
    def real(self) -> metrics.Measured:
        """The training photographs, measured; kept in the run's folder because it takes minutes."""
        file = self.folder / f"photographs{self.gan.generator.size}.safetensors"
        if not file.is_file():
            count = min(self.settings.reference or len(self.photographs), len(self.photographs))
            chosen = [i * len(self.photographs) // count for i in range(count)]
            save_file(vars(metrics.measure(map(self.photographs.images, _parts(chosen)))), file)
        return metrics.Measured(**load_file(file))

    def save(self) -> None:
        """Write the checkpoint and the weights; a run that is killed meanwhile keeps the old ones."""
        if not self.accelerator.is_main_process:
            return
        state = {
            "done": self.done,
            "gan": self.gan.state_dict(),
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.gan.optimizers.items()},
        }
        with whole(self.checkpoint) as partial:
            torch.save(state, partial)
        players.export(self.gan.average, self.weights)
        players.export_encoder(self.gan.encoder, self.folder / players.ENCODER)

    def restore(self) -> None:
        """Continue from the checkpoint."""
        state = torch.load(self.checkpoint, map_location=self.accelerator.device, weights_only=True)
        self.gan.load_state_dict(state["gan"])
        for name, optimizer in self.gan.optimizers.items():
            rates = [group["full"] for group in optimizer.param_groups]
            optimizer.load_state_dict(state["optimizers"][name])
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["full"] = rate  # the settings' rates, should they have been changed meanwhile
        self.done = state["done"]
        logger.info("continuing from step %d", self.done)


def _parts(indices: list[int], size: int = 32) -> list[list[int]]:
    return [indices[i : i + size] for i in range(0, len(indices), size)]


def _due(done: int, every: int) -> bool:
    return every > 0 and done % every == 0
