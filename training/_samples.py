"""Samples of a generator, their pictures and scores, in shards: an interrupted run continues.

A shard is three files: latents (.npz), pictures (.zip of JPEGs, to look at with any viewer) and a table of
scores per scorer (.npy). Pictures are kept because they take most of the time: a scorer that is added or
changed later reads them, and nothing is rendered twice.
"""

import hashlib
import io
import json
import logging
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

import scorers
from backends import Latents
from backends.cache import whole
from backends.generators import Generator
from config import ConfigError
from scorers import Scorer

log = logging.getLogger(__name__)
SHARD = 100  # samples in a file
QUALITY = 95  # of the JPEGs: scores then change by 1 % of their standard deviation


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
    """Latents of the seeds 0...count - 1 and the scores of their pictures, from `folder` where it has them.

    `mixed` takes the rows of a latent from two samples, cut at a random layer (StyleGAN, section 3.1), so
    that boundaries in W+ can differ from layer to layer.

    Raises ConfigError when `folder` holds samples of something else.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _check(
        folder / "about.json",
        {"fingerprint": generator.fingerprint, "truncation": truncation, "mixed": mixed},
    )
    names = scorers.names(measured)
    shards = []
    for start in tqdm(range(0, count, SHARD), "samples", unit="shard", disable=None):
        seeds = list(range(start, start + SHARD))
        file = folder / f"{start:06d}.npz"
        if not file.is_file():
            latents = _latents(generator, seeds, truncation, mixed)
            with whole(file.with_suffix(".zip")) as archive:
                _draw(generator, latents, archive, batch)
            with whole(file) as partial:
                np.savez(partial, latents=(latents if mixed else latents[:, :1]).cpu().numpy())
        with np.load(file) as shard:
            shards.append((shard["latents"], _scores(measured, file.with_suffix(".zip"), seeds)))
    latents, scores = (torch.from_numpy(np.concatenate(parts)[:count]) for parts in zip(*shards, strict=True))
    return Samples(latents, scores, names)


def _latents(generator: Generator, seeds: list[int], truncation: float, mixed: bool) -> Latents:
    latents = generator.sample(seeds, truncation)
    if mixed:
        others = generator.sample([seed + 10**6 for seed in seeds], truncation)
        for latent, other, seed in zip(latents, others, seeds, strict=True):
            cut = int(torch.randint(0, generator.layers, (), generator=torch.Generator().manual_seed(seed)))
            latent[cut:] = other[cut:]
    return latents


def _draw(generator: Generator, latents: Latents, file: Path, batch: int) -> None:
    """An archive of small pictures, made by the generator's fast path."""
    with zipfile.ZipFile(file, "w") as archive:
        for start in range(0, len(latents), batch):
            images = scorers.pictures(generator, latents[start : start + batch])
            pixels = ((images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).cpu().numpy()
            for i, picture in enumerate(pixels, start):
                stream = io.BytesIO()
                Image.fromarray(picture).save(stream, "JPEG", quality=QUALITY, subsampling=0)
                archive.writestr(f"{i:03d}.jpg", stream.getvalue())


def _scores(measured: Sequence[Scorer], archive: Path, seeds: list[int]) -> Float[ndarray, "n scores"]:
    """The tables of all scorers side by side; those that are not there yet are made from the pictures."""
    tables, images = [], None
    for scorer in measured:
        file = archive.with_name(f"{archive.stem}_{_key(scorer)}.npy")
        if not file.is_file():
            images = _pictures(archive) if images is None else images
            table = _table(scorer, images, [f"seed {seed}" for seed in seeds])
            with whole(file) as partial:
                np.save(partial, table)
        tables.append(np.load(file))
    return np.concatenate(tables, axis=1)


def _table(
    scorer: Scorer, pictures: UInt8[Tensor, "n 3 size size"], samples: list[str], batch: int = 10
) -> Float[ndarray, "n scores"]:
    rows = [
        scorers.score([scorer], part.float() / 127.5 - 1, samples[start : start + batch])
        for start, part in zip(range(0, len(samples), batch), pictures.split(batch), strict=True)
    ]
    return torch.cat(rows).numpy()


def _pictures(archive: Path) -> UInt8[Tensor, "n 3 size size"]:
    with zipfile.ZipFile(archive) as content:
        pixels = [np.array(Image.open(io.BytesIO(content.read(name)))) for name in sorted(content.namelist())]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2)


def _key(scorer: Scorer) -> str:
    """Changes with what decides a scorer's numbers: its settings, and the content of its files."""
    kind = type(scorer).__module__.rpartition(".")[2]
    text = json.dumps([asdict(scorer), scorer.content()], sort_keys=True, default=str)  # type: ignore[call-overload]
    return f"{kind}_{hashlib.sha256(text.encode()).hexdigest()[:10]}"


def _check(file: Path, about: dict[str, object]) -> None:
    """The folder's shards were made for this generator; an empty folder is labelled."""
    if file.is_file():
        if json.loads(file.read_text()) != about:
            raise ConfigError(
                "folder: it holds samples of other settings; give an empty one, or its settings"
            )
        return
    file.write_text(json.dumps(about, indent=1))
