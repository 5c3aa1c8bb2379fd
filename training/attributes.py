"""Trains `evaluation/scorers/attributes.py`: linear heads for CelebA's 40 attributes on frozen features.

    python cli.py train configs/training/faces_attributes.yaml data=/path/to/photographs.zip

The archive holds aligned photographs and `attributes.csv` (file, then one column of 0 and 1 per attribute).
Features are stored in shards, so an interrupted run continues. Every photograph is seen sharp and as coarse
as a small preview, for scores that do not depend on the resolution.
"""

import csv
import io
import json
import logging
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from numpy import ndarray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from backends.cache import whole
from backends.losses import resize
from config import ConfigError
from evaluation.scorers._features import features
from training.recipes import read

log = logging.getLogger(__name__)
SHARD = 200  # photographs
CHUNK = 20  # photographs in memory
COARSE = 48  # side of the coarse copy, pixels: a 64-pixel preview in CelebA's frame


@dataclass
class Recipe:
    """The keys of the YAML file."""

    data: str  # .zip of photographs with attributes.csv
    folder: str  # for the shards of features
    out: str  # the .safetensors file of the heads
    network: Literal["lite0", "lite2"] = "lite0"
    photographs: int = 0  # use the first few only; 0 = all
    validation: float = 0.15  # share of the photographs that is only judged on
    decay: float = 0.02  # weight of half the squared length of a head, against the mean loss


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Trains and writes the heads; returns their file. Raises ConfigError."""
    recipe = read(Recipe, Path(config), overrides)
    if not zipfile.is_zipfile(recipe.data):
        raise ConfigError("data: expected a .zip archive of photographs with attributes.csv")
    seen, labels, names = examples(recipe)
    train = np.random.default_rng(0).random(len(labels)) >= recipe.validation
    mean, deviation = _spread(seen[:, train])  # pyright: ignore[reportArgumentType]
    standard = (seen - mean) / deviation  # (2, n, features)
    known = torch.from_numpy(train)
    weight, bias = fit(standard[:, known].flatten(0, 1), labels[known].repeat(2, 1), recipe.decay)
    judged = {
        kind: judge(part[~known] @ weight.T + bias, labels[~known].bool())
        for kind, part in zip(("sharp", "coarse"), standard, strict=True)
    }
    _report(names, judged)
    return _write(
        recipe, names, {"mean": mean, "deviation": deviation, "weight": weight, "bias": bias}, judged
    )


def examples(recipe: Recipe) -> tuple[Float[Tensor, "2 n features"], Float[Tensor, "n names"], list[str]]:
    """Features of the sharp and the coarse photographs, labels, their names; from shards where they exist."""
    folder = Path(recipe.folder)
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(recipe.data) as archive:
        title, *rows = list(csv.reader(io.TextIOWrapper(archive.open("attributes.csv"))))
        rows = rows[: recipe.photographs or None]
        shards = []
        for start in tqdm(range(0, len(rows), SHARD), "features", disable=None):
            file = folder / f"{start:05d}.npy"
            if not file.is_file():
                with whole(file) as partial:
                    np.save(
                        partial, _features(archive, [row[0] for row in rows[start : start + SHARD]], recipe)
                    )
            shards.append(np.load(file))
    seen = torch.from_numpy(np.concatenate(shards, axis=1)).float()
    labels = torch.tensor([[float(cell) for cell in row[1:]] for row in rows])
    return seen, labels, [name.replace("_", " ").lower() for name in title[1:]]


def _features(archive: zipfile.ZipFile, files: list[str], recipe: Recipe) -> Float[ndarray, "2 n features"]:
    sharp, coarse = [], []
    for start in range(0, len(files), CHUNK):
        images = torch.stack([_image(archive.read(name)) for name in files[start : start + CHUNK]])
        sharp.append(features(images, recipe.network))
        coarse.append(features(resize(images, COARSE), recipe.network))
    return torch.stack([torch.cat(sharp), torch.cat(coarse)]).half().cpu().numpy()


def _image(content: bytes) -> Float[Tensor, "3 size size"]:
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1


def _spread(
    seen: Float[Tensor, "2 n features"],
) -> tuple[Float[Tensor, " features"], Float[Tensor, " features"]]:
    flat = seen.flatten(0, 1)
    return flat.mean(0), flat.std(0).clamp(min=1e-4)


def fit(
    seen: Float[Tensor, "n features"], labels: Float[Tensor, "n names"], decay: float
) -> tuple[Float[Tensor, "names features"], Float[Tensor, " names"]]:
    """Logistic heads, all at once; rare classes weigh more, so that 0 is an even chance."""
    share = labels.mean(0).clamp(1e-3, 1 - 1e-3)
    importance = torch.where(labels > 0.5, 0.5 / share, 0.5 / (1 - share))
    weight = torch.zeros(labels.shape[1], seen.shape[1], requires_grad=True)
    bias = torch.zeros(labels.shape[1], requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=60, history_size=8, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        solver.zero_grad()
        entropy = F.binary_cross_entropy_with_logits(
            seen @ weight.T + bias, labels, importance, reduction="none"
        )
        value = entropy.mean(0).sum() + decay / 2 * weight.square().sum()
        value.backward()
        return value

    solver.step(loss)
    return weight.detach(), bias.detach()


def judge(scores: Float[Tensor, "n names"], labels: Bool[Tensor, "n names"]) -> list[dict[str, float]]:
    """Per attribute, balanced accuracy at 0 and the area under the ROC curve (Mann and Whitney's U)."""
    results = []
    for score, label in zip(scores.T, labels.T, strict=True):
        positive, negative = int(label.sum()), int((~label).sum())
        balanced = ((score[label] > 0).float().mean() + (score[~label] <= 0).float().mean()) / 2
        ranks = score.argsort().argsort().float() + 1
        area = (ranks[label].sum() - positive * (positive + 1) / 2) / max(positive * negative, 1)
        results.append({"accuracy": round(float(balanced), 4), "area": round(float(area), 4)})
    return results


def _report(names: list[str], judged: dict[str, list[dict[str, float]]]) -> None:
    for i, name in enumerate(names):
        figures = ", ".join(
            f"{kind} {row[i]['accuracy']:.1%} (area {row[i]['area']:.3f})" for kind, row in judged.items()
        )
        log.info("%-20s balanced accuracy %s", name, figures)


def _write(
    recipe: Recipe, names: list[str], tensors: dict[str, Tensor], judged: dict[str, list[dict[str, float]]]
) -> Path:
    out = Path(recipe.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    notes = {"network": recipe.network, "names": names, "validation": judged}
    halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
    save_file(halves, out, {"attributes": json.dumps(notes)})
    return out
