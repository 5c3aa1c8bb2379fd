"""Trains `evaluation/scorers/attributes.py`: linear heads for CelebA's 40 attributes on frozen features.

    python cli.py train configs/training/faces_attributes.yaml data=/path/to/photographs.zip

The archive holds aligned photographs and `attributes.csv` (file, then one column of 0 and 1 per attribute).
Features are stored in shards, so an interrupted run continues. Every photograph is seen sharp and reduced to
the size of a small preview, for scores that do not depend on the resolution.
"""

import csv
import io
import json
import logging
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Bool, Float
from PIL import Image
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch import Tensor

from backends.cache import whole
from backends.losses import resize
from config import ConfigError, resolve
from evaluation.scorers.attributes import features
from training import Trainer

log = logging.getLogger(__name__)
CHUNK = 20  # photographs in memory
COARSE = 48  # side of the coarse copy, pixels: a 64-pixel preview in CelebA's frame


@dataclass(kw_only=True)
class Attributes(Trainer):
    """Every step computes the features of one shard of photographs; the export fits the heads."""

    data: str  # .zip of photographs with attributes.csv
    out: str  # the .safetensors file of the heads
    network: Literal["lite0", "lite2"] = "lite0"
    shard: int = 200  # photographs a step
    validation: float = 0.15  # share of the photographs that is held out
    decay: float = 0.02  # weight of half the squared length of a head, against the mean loss

    @property
    def result(self) -> Path:
        return resolve(self.out)

    @property
    def steps(self) -> int:
        return -(-len(self.table[1]) // self.shard)

    @property
    def archive(self) -> zipfile.ZipFile:
        """The photographs. Raises ConfigError."""
        if not self.data or not zipfile.is_zipfile(resolve(self.data)):
            raise ConfigError("data: expected a .zip archive of photographs with attributes.csv")
        return zipfile.ZipFile(resolve(self.data))

    @cached_property
    def table(self) -> tuple[list[str], list[list[str]]]:
        """The title and the rows of attributes.csv. Raises ConfigError."""
        with self.archive as archive:
            title, *rows = list(csv.reader(io.TextIOWrapper(archive.open("attributes.csv"))))
        return title, rows

    def file(self, number: int) -> Path:
        """The file of the features of one shard, (2, n, features): sharp and coarse."""
        return resolve(self.folder) / f"{number * self.shard:05d}.npy"

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        file, rows = self.file(number), self.table[1]
        if file.is_file():
            return {}
        found = []
        with self.archive as archive:
            for start in range(number * self.shard, min((number + 1) * self.shard, len(rows)), CHUNK):
                end = min(start + CHUNK, (number + 1) * self.shard)
                images = torch.stack([_image(archive.read(name)) for name, *_ in rows[start:end]])
                both = images, resize(images, COARSE)
                found.append(torch.stack([features(each, self.network) for each in both]))
        with whole(file) as partial:
            np.save(partial, torch.cat(found, 1).half().cpu().numpy())
        return {}

    def export(self) -> None:
        """Fit the heads, judge them on the held-out photographs, write them."""
        title, rows = self.table
        names = [name.replace("_", " ").lower() for name in title[1:]]
        shards = [np.load(self.file(number)) for number in range(self.steps)]
        seen = torch.from_numpy(np.concatenate(shards, axis=1)).float()  # (2, n, features)
        labels = torch.tensor([[float(cell) for cell in row[1:]] for row in rows])
        train = torch.from_numpy(np.random.default_rng(0).random(len(labels)) >= self.validation)
        for i, name in enumerate(names):
            if not 0 < labels[train, i].mean() < 1 or not 0 < labels[~train, i].mean() < 1:
                raise ConfigError(f"data: {name!r} is the same for all photographs of a part; it takes more")
        fitted = seen[:, train].flatten(0, 1)
        mean, std = fitted.mean(0), fitted.std(0).clamp(min=1e-4)
        standard = (seen - mean) / std
        weight, bias = fit(standard[:, train].flatten(0, 1), labels[train].repeat(2, 1), self.decay)
        judged = {
            kind: judge(part[~train] @ weight.T + bias, labels[~train].bool())
            for kind, part in zip(("sharp", "coarse"), standard, strict=True)
        }
        for i, name in enumerate(names):
            log.info("%-20s balanced accuracy, ROC area: %s", name, {k: v[i] for k, v in judged.items()})
        notes = {"network": self.network, "names": names, "validation": judged}
        tensors = {"mean": mean, "deviation": std, "weight": weight, "bias": bias}
        halves = {name: tensor.half().contiguous() for name, tensor in tensors.items()}
        save_file(halves, self.result, {"attributes": json.dumps(notes)})


def _image(content: bytes) -> Float[Tensor, "3 size size"]:
    pixels = np.array(Image.open(io.BytesIO(content)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 127.5 - 1


def fit(
    seen: Float[Tensor, "n features"], labels: Float[Tensor, "n names"], decay: float
) -> tuple[Float[Tensor, "names features"], Float[Tensor, " names"]]:
    """Logistic heads; rare classes weigh more, so that 0 is an even chance.

    They minimise the mean loss and `decay` / 2 times the squared length of a head.
    """
    cost = 1 / (decay * len(seen))
    heads = [
        LogisticRegression(C=cost, class_weight="balanced", max_iter=1000).fit(seen.numpy(), label.numpy())
        for label in labels.T
    ]
    weight = np.concatenate([head.coef_ for head in heads])
    bias = np.concatenate([head.intercept_ for head in heads])
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def judge(scores: Float[Tensor, "n names"], labels: Bool[Tensor, "n names"]) -> list[dict[str, float]]:
    """Per attribute, balanced accuracy at 0 and the area under the ROC curve."""
    return [
        {
            "accuracy": round(float(balanced_accuracy_score(label, score > 0)), 4),
            "area": round(float(roc_auc_score(label, score)), 4),
        }
        for score, label in zip(scores.T.numpy(), labels.T.numpy(), strict=True)
    ]
