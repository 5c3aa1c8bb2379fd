"""Samples of a generator with the scores of their pictures, in shards: an interrupted run continues."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor
from tqdm import tqdm

import scorers
from backends import Latents
from backends.generators import Generator
from plugins import ConfigError
from scorers import Scorer

log = logging.getLogger(__name__)
SHARD = 100  # samples in a file


@dataclass(frozen=True)
class Samples:
    """What boundaries are fitted to."""

    latents: Float[Tensor, "n rows dim"]  # 1 row when every layer gets the same vector
    scores: Float[Tensor, "n scores"]  # NaN = unknown
    names: list[str]  # of the scores


def collect(
    generator: Generator,
    measured: Sequence[Scorer],
    folder: Path,
    count: int,
    truncation: float = 1.0,
    mixed: bool = False,
    batch: int = 4,
) -> Samples:
    """Latents of the seeds 0...count - 1 and the scores of their previews, from `folder` where it has them.

    `mixed` takes the rows of a latent from two samples, cut at a random layer (StyleGAN, section 3.1), so
    that boundaries in W+ can differ from layer to layer.

    Raises ConfigError when `folder` holds something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names = scorers.names(measured)
    about = {"fingerprint": generator.fingerprint, "scores": names, "truncation": truncation, "mixed": mixed}
    _check(folder / "about.json", about)
    shards = []
    for start in tqdm(range(0, count, SHARD), "samples", unit="shard", disable=None):
        file = folder / f"{start:06d}.npz"
        if not file.is_file():
            seeds = list(range(start, start + SHARD))
            latents = _latents(generator, seeds, truncation, mixed)
            scores = _scores(generator, measured, latents, [f"seed {seed}" for seed in seeds], batch)
            kept = latents if mixed else latents[:, :1]
            store(file, latents=kept.cpu().numpy(), scores=scores.numpy())
        with np.load(file) as shard:
            shards.append((shard["latents"], shard["scores"]))
    latents, scores = (torch.from_numpy(np.concatenate(parts)[:count]) for parts in zip(*shards, strict=True))
    return Samples(latents, scores, names)


def store(file: Path, **arrays: ndarray) -> None:
    """A shard is there whole or not at all."""
    partial = file.with_name(f"{file.stem}.part.npz")
    np.savez(partial, **arrays)  # pyright: ignore[reportArgumentType]
    partial.replace(file)


def _latents(generator: Generator, seeds: list[int], truncation: float, mixed: bool) -> Latents:
    latents = generator.sample(seeds, truncation)
    if mixed:
        others = generator.sample([seed + 10**6 for seed in seeds], truncation)
        for latent, other, seed in zip(latents, others, seeds, strict=True):
            cut = int(torch.randint(0, generator.layers, (), generator=torch.Generator().manual_seed(seed)))
            latent[cut:] = other[cut:]
    return latents


def _scores(
    generator: Generator, measured: Sequence[Scorer], latents: Latents, samples: list[str], batch: int
) -> Float[Tensor, "n scores"]:
    rows = []
    for start in range(0, len(latents), batch):
        images = generator.render(latents[start : start + batch], preview=True)
        rows.append(scorers.score(measured, images, samples[start : start + batch]))
    return torch.cat(rows)


def _check(file: Path, about: dict[str, object]) -> None:
    """The folder's shards were made for this generator and these scorers; an empty folder is labelled."""
    if file.is_file():
        if json.loads(file.read_text()) != about:
            raise ConfigError(
                "folder: it holds samples of other settings; give an empty one, or its settings"
            )
        return
    file.write_text(json.dumps(about, indent=1))
