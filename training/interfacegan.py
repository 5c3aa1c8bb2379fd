"""InterFaceGAN: hyperplanes that separate attributes in a latent space (Shen et al., CVPR 2020, TPAMI 2020).

    python cli.py train configs/training/faces_interfacegan.yaml

Samples latents, scores their pictures, fits a boundary per score, and writes the chosen ones, some of them
conditional on others, as a file of directions.
"""

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import PredefinedSplit
from sklearn.svm import SVC
from torch import Tensor

from config import ConfigError
from directions._stored import Stored, write
from directions.interfacegan import conditional
from training import _disentangle
from training._disentangle import Model, normalised
from training._samples import Samples, SampleTrainer

log = logging.getLogger(__name__)
RIDGES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1)  # tried by `regression`, in mean variances of a coordinate
SPLIT = 0.7  # share of the samples at the ends that the SVM is trained on
ITERATIONS = 10_000_000  # of the support vector machine: a minute; 300 samples need some thousands


@dataclass
class Wanted:
    """One direction of the file that is written."""

    score: str  # what it changes
    sign: int = 1  # -1: a positive strength gives less of the score ("older" from "young")
    keep: list[str] = field(default_factory=list)  # scores that do not change with it (section 3.2)
    free: list[str] = field(default_factory=list)  # with `purest`: scores that may change with it
    tolerance: float = 0.3  # with `purest`: of changes in the others (training/_disentangle.py)
    layers: str = "all"  # those that are edited by default
    limit: float = 3.0  # ends of the slider, standard deviations of the latents
    note: str = ""


@dataclass(kw_only=True)
class InterFaceGAN(SampleTrainer):
    """Writes what `directions/interfacegan.py` reads."""

    directions: dict[str, Wanted] = field(default_factory=dict)  # by name; empty = every score
    samples: int = 10_000
    space: Literal["w", "w+", "z"] = "w"  # of the boundaries; the file says so
    method: Literal["svm", "regression", "purest"] = "svm"
    still: list[str] = field(default_factory=list)  # with `purest`: what no direction changes; empty = all
    ratio: float = 0.02  # share of the samples at either end of a score that the SVM sees

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method == "purest" and self.space == "w+":
            raise ValueError("method: purest needs one vector for all layers: space: w or z")

    @property
    def mixed(self) -> bool:
        return self.space == "w+"

    def export(self) -> None:
        """Fit the boundaries, write the chosen directions."""
        samples = self.collect()
        if self.space == "z":
            latents = self.network.noise(list(range(self.samples))).cpu()[:, None]
            samples = Samples(latents, samples.scores, samples.names)
        found = boundaries(samples, self.method, self.ratio)
        for name, each in found.items():
            log.info(
                "%-24s validation %.1f %%, all %.1f %%", name, 100 * each.validation, 100 * each.everything
            )
        model = _disentangle.fit(samples) if self.method == "purest" else None
        space = self.space[0]  # w+ counts as w
        write(self.result, chosen(found, self.directions, model, self.still, space))


@dataclass(frozen=True)
class Boundary:
    """A fitted hyperplane, and how well it separates high scores from low ones."""

    normal: Float[Tensor, "rows dim"]  # unit length over all rows
    validation: float  # accuracy on held-out samples of both ends of the score
    everything: float  # accuracy on all samples between the ends


def chosen(
    found: dict[str, Boundary],
    directions: dict[str, Wanted],
    model: Model | None = None,
    still: Sequence[str] = (),
    space: str = "w",
) -> dict[str, Stored]:
    """The directions of the file. Raises ConfigError for scores that nobody measured.

    What a direction keeps is projected out of its normal (section 3.2). With `model` the directions are
    the purest ones instead (training/_disentangle.py).
    """
    result = {}
    for name, wanted in (directions or {name: Wanted(name) for name in found}).items():
        for score in (wanted.score, *wanted.keep, *wanted.free, *still):
            if score not in found:
                raise ConfigError(
                    f"directions: {name}: no score is called {score!r}; there are: {', '.join(found)}"
                )
        boundary = found[wanted.score]
        rows = boundary.normal * wanted.sign
        if model is not None:
            others = [score for score in (*(still or found), *wanted.keep) if score not in wanted.free]
            rows = model.direction(wanted.score, wanted.sign, others, wanted.tolerance)[None]
        elif wanted.keep:
            rows = conditional(rows, torch.stack([found[score].normal for score in wanted.keep]))
        accuracy = round(boundary.validation, 4)
        result[name] = Stored(rows.double(), wanted.layers, accuracy, wanted.limit, wanted.note, space)
    return result


def boundaries(samples: Samples, method: str = "svm", ratio: float = 0.02) -> dict[str, Boundary]:
    """A boundary per score, but for scores that have none: known of too few samples, or the same for all."""
    found = {}
    for name, score in zip(samples.names, samples.scores.T, strict=True):
        known = score.isfinite()
        if known.sum() < 20 or score[known].std() == 0:
            log.warning("%s: known of too few samples, or the same for all: no boundary", name)
            continue
        try:
            found[name] = boundary(samples.latents[known].float(), score[known], method, ratio)
        except ConvergenceWarning as warning:
            log.warning("%s: %s: no boundary", name, warning)
    return found


def boundary(
    latents: Float[Tensor, "n rows dim"], scores: Float[Tensor, " n"], method: str, ratio: float
) -> Boundary:
    """The hyperplane between the samples of the highest and of the lowest scores.

    As in the authors' code the ends hold `ratio` of the samples each, SPLIT of them train and the rest
    validate, and "all" are the samples between the ends, by whether their score is above the middle of its
    range. The other methods use all samples but the validating ones for a regression, which is less noisy.
    """
    flat, order = latents.flatten(1), scores.argsort(descending=True)
    count = max(2, min(int(len(scores) * ratio), len(scores) // 2))
    shuffled = torch.randperm(count, generator=torch.Generator().manual_seed(0))
    train, validate = shuffled.tensor_split([max(1, int(count * SPLIT))])
    high, low = order[:count], order[-count:]
    if method == "svm":
        chosen = torch.cat([high[train], low[train]])
        labels = torch.cat([torch.ones(len(train)), -torch.ones(len(train))])
        normal, bias = support_vector_machine(flat[chosen], labels)
    else:
        kept = torch.ones(len(scores), dtype=torch.bool)
        kept[torch.cat([high[validate], low[validate]])] = False
        normal, bias = regression(flat[kept], scores[kept])
    values = flat @ normal + bias
    between = order[count:-count]
    middle = (scores[order[0]] + scores[order[-1]]) / 2
    return Boundary(
        (normal / normal.norm()).view(latents.shape[1:]),
        (_right(values[high[validate]] > 0) + _right(values[low[validate]] < 0)) / 2,
        _right((values[between] > 0) == (scores[between] >= middle)),
    )


def support_vector_machine(
    latents: Float[Tensor, "n length"], labels: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " length"], float]:
    """Normal and bias of the linear SVM with C = 1, as in the authors' code; labels are -1 and 1.

    Raises ConvergenceWarning when it is not solved within `ITERATIONS`.
    """
    machine = SVC(kernel="linear", C=1.0, tol=1e-3, max_iter=ITERATIONS)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        machine.fit(latents.double().numpy(), labels.numpy())
    return torch.tensor(machine.coef_[0]).float(), float(machine.intercept_[0])


def regression(
    latents: Float[Tensor, "n length"], scores: Float[Tensor, " n"]
) -> tuple[Float[Tensor, " length"], float]:
    """Ridge regression on normalised ranks; of RIDGES the one that predicts every fifth sample best."""
    points, target = latents.double().numpy(), normalised(scores).numpy()
    fold = np.where(np.arange(len(points)) % 5 == 0, 0, -1)
    penalties = [ridge * len(points) * points.var(axis=0).mean() for ridge in RIDGES]
    search = RidgeCV(penalties, scoring="neg_mean_squared_error", cv=PredefinedSplit(fold))
    found = search.fit(points, target)
    return torch.from_numpy(found.coef_).float(), float(found.intercept_)


def _right(correct: Bool[Tensor, " n"]) -> float:
    """Share that is true; 1 of none."""
    return float(correct.float().mean()) if len(correct) else 1.0
