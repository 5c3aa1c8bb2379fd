"""The keys of a file in configs/training/."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import config
from config import ConfigError
from training.augment import Augmentation
from training.data import Data
from training.gan import Rates


@dataclass
class Every:
    """How often something is done, in steps; 0 = never."""

    log: int = 25
    checkpoint: int = 100
    sheet: int = 250
    metrics: int = 500


@dataclass
class Run:
    """One training run: data, starting point, networks, schedule."""

    folder: str  # of checkpoints, sheets and logs; a run continues from what it finds there
    data: Data
    start: Literal["faces", "scratch", "grow", "checkpoint"] = "faces"
    parent: str = ""  # folder of a run, or weights (.safetensors), that `grow` and `checkpoint` start from
    channels: list[int] = field(default_factory=lambda: [512, 512, 512, 256])  # at 4, 8, ... half the size
    dense: int = 0  # of the last blocks, those whose convolutions are not separable
    smooth: bool = True  # a low-pass filter after every inverse Haar transform: no grid
    layout: int = 96  # principal pictures that a new generator starts with; 0 = none
    discriminator: Literal["projected", "pixels"] = "projected"
    side: int = 96  # of the pictures that the discriminator's feature network sees, pixels
    batch: int = 16  # pictures a step, of each process
    steps: int = 2000
    rehearsal: int = 0  # of the steps, the first ones, that only draw photographs again
    nats: float = 40.0  # what z may tell of a photograph; more = closer pictures, emptier samples
    seed: int = 0
    photographs: int = 0  # train on the first few only: overfitting must be easy; 0 = all
    samples: int = 512  # for the figures in the log
    reference: int = 1000  # photographs that they are compared with; 0 = all
    rates: Rates = field(default_factory=Rates)
    augmentation: Augmentation = field(default_factory=Augmentation)
    every: Every = field(default_factory=Every)
    pause_file: str = ""  # while such a file exists, the run waits


def read(path: Path, overrides: list[str] | None = None) -> Run:
    """The checked contents of a YAML file; `overrides` are settings such as "data.path=photos" or "steps=10".

    Raises ConfigError naming the file, the key and what would work.
    """
    run = config.read(Run, path, overrides or [])
    if run.start in ("grow", "checkpoint") and not run.parent:
        raise ConfigError(f"{path.name}: start: {run.start} needs `parent`, the weights to start from")
    if not run.data.path:
        raise ConfigError(f"{path.name}: data.path: which photographs? Give a folder or a zip archive")
    return run
