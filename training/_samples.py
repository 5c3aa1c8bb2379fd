"""Samples of a generator, their pictures and scores, in shards: an interrupted run continues.

A shard is three files: latents (.npz), pictures (.zip of JPEGs, to look at with any viewer) and a table of
scores per scorer (.npy). Pictures are kept because they take most of the time: a scorer that is added or
changed later reads them, and nothing is rendered twice.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor

from backends import Latents
from backends.cache import whole
from backends.generators import Generator
from backends.photos import to_pil
from config import ConfigError, resolve
from evaluation import scorers
from evaluation.scorers import Scorer
from plugins import build
from training._generator import GeneratorTrainer

SHARD = 100  # samples in a file
QUALITY = 95  # of the JPEGs: scores then change by 1 % of their standard deviation


@dataclass(frozen=True)
class Samples:
    """What boundaries are fitted to."""

    latents: Float[Tensor, "n rows dim"]  # 1 row when every layer gets the same vector
    scores: Float[Tensor, "n scores"]  # NaN = unknown
    names: list[str]  # of the scores


@dataclass(kw_only=True)
class SampleTrainer(GeneratorTrainer):
    """A trainer whose steps draw and score one shard of samples each; the export fits something to them."""

    scorers: list[dict[str, Any]]
    samples: int  # of the seeds from 0 on
    truncation: float = 1.0
    batch: int = 4

    @property
    def mixed(self) -> bool:
        """Whether the layers of a latent mix two samples, cut at a random layer (StyleGAN, section 3.1).

        Boundaries in W+ can then differ from layer to layer.
        """
        return False

    @property
    def steps(self) -> int:
        return -(-self.samples // SHARD)

    @cached_property
    def measured(self) -> list[Scorer]:
        """The scorers. Raises ConfigError."""
        return [build(Scorer, settings, "scorers") for settings in self.scorers]

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        self.shard(number)
        return {}

    def collect(self) -> Samples:
        """All samples. Raises ConfigError as `shard` does."""
        shards = [self.shard(number) for number in range(self.steps)]
        latents, scores = (np.concatenate(parts)[: self.samples] for parts in zip(*shards, strict=True))
        names = scorers.names(self.measured)
        return Samples(torch.from_numpy(latents), torch.from_numpy(scores), names)

    def shard(self, number: int) -> tuple[Float[ndarray, "n rows dim"], Float[ndarray, "n scores"]]:
        """Latents and scores of one shard, from the folder if it has them.

        Raises ConfigError when the folder holds samples of something else.
        """
        folder = resolve(self.folder)
        folder.mkdir(parents=True, exist_ok=True)
        about = {"fingerprint": self.network.fingerprint, "truncation": self.truncation, "mixed": self.mixed}
        label = folder / "about.json"
        if not label.is_file():
            label.write_text(json.dumps(about, indent=1))
        elif json.loads(label.read_text()) != about:
            raise ConfigError("folder: it holds samples of other settings; give an empty one or its settings")
        seeds = list(range(number * SHARD, (number + 1) * SHARD))
        file = folder / f"{seeds[0]:06d}.npz"
        if not file.is_file():
            latents = self.latents(seeds)
            with whole(file.with_suffix(".zip")) as archive:
                _draw(self.network, latents, archive, self.batch)
            with whole(file) as partial:
                np.savez(partial, latents=(latents if self.mixed else latents[:, :1]).cpu().numpy())
        with np.load(file) as content:
            return content["latents"], _scores(self.measured, file.with_suffix(".zip"), seeds)

    def latents(self, seeds: list[int]) -> Latents:
        """One latent per seed."""
        latents = self.network.sample(seeds, self.truncation)
        if self.mixed:
            others = self.network.sample([seed + 10**6 for seed in seeds], self.truncation)
            for latent, other, seed in zip(latents, others, seeds, strict=True):
                source = torch.Generator().manual_seed(seed)
                cut = int(torch.randint(0, self.network.layers, (), generator=source))
                latent[cut:] = other[cut:]
        return latents


def _draw(generator: Generator, latents: Latents, file: Path, batch: int) -> None:
    """An archive of small pictures, made by the generator's fast path."""
    with zipfile.ZipFile(file, "w") as archive:
        for start in range(0, len(latents), batch):
            images = scorers.pictures(generator, latents[start : start + batch])
            for i, picture in enumerate(to_pil(images), start):
                stream = io.BytesIO()
                picture.save(stream, "JPEG", quality=QUALITY, subsampling=0)
                archive.writestr(f"{i:03d}.jpg", stream.getvalue())


def _scores(measured: Sequence[Scorer], archive: Path, seeds: list[int]) -> Float[ndarray, "n scores"]:
    """The tables of all scorers side by side; those that are not there yet are made from the pictures."""
    tables = []
    for scorer in measured:
        file = archive.with_name(f"{archive.stem}_{_key(scorer)}.npy")
        if not file.is_file():
            parts = []
            for part, those in zip(_pictures(archive).split(10), torch.tensor(seeds).split(10), strict=True):
                names = [f"seed {seed}" for seed in those.tolist()]
                parts.append(scorers.score([scorer], part.float() / 127.5 - 1, names))
            with whole(file) as partial:
                np.save(partial, torch.cat(parts).numpy())
        tables.append(np.load(file))
    return np.concatenate(tables, axis=1)


def _pictures(archive: Path) -> UInt8[Tensor, "n 3 size size"]:
    with zipfile.ZipFile(archive) as content:
        pixels = [np.array(Image.open(io.BytesIO(content.read(name)))) for name in sorted(content.namelist())]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _key(scorer: Scorer) -> str:
    """Changes with what decides a scorer's numbers: its settings, and the content of its files."""
    kind = type(scorer).__module__.rpartition(".")[2]
    text = json.dumps([asdict(scorer), scorer.content()], sort_keys=True, default=str)  # type: ignore[call-overload]
    return f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
