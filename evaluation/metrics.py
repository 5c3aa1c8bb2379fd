"""Figures of merit in the features of EfficientNet-Lite2, which training never sees (it uses Lite0).

"FID-like" is the Fréchet distance of FID (Heusel et al., NeurIPS 2017) on these features; it is comparable
within this project only, and only for equal counts of samples.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends import Images
from backends.networks import efficientnet_lite

SIDE = 128  # pictures are resized to it before the feature network, pixels
STAGE = 6  # the last; pooled over places: 352 features
TURNING = 4  # the stage whose maps, 8 x 8 places, show which way a head is turned
ROWS, COLUMNS = slice(2, 7), slice(1, 7)  # of these places: the head, not the background
NEIGHBOURS, DENSE_NEIGHBOURS = 3, 5  # of precision and recall, of density and coverage: as in the papers
PERIODS = (2, 4, 8)  # of a grid, pixels
Features = Float[Tensor, "_ features"]  # a row a picture
Power = Float[Tensor, "side side"]


@dataclass(frozen=True)
class Measured:
    """What the figures need to know of many pictures."""

    features: Features
    turns: Float[Tensor, "n places"]  # what is left of the head's maps without their mirror-symmetric part
    power: Power  # spectrum at the pictures' own size


@torch.no_grad()
def features(images: Images) -> Features:
    """Pooled features of pictures in [-1, 1] of any size."""
    return _maps(images, [STAGE])[0].mean((2, 3))


def measure(batches: Iterable[Images]) -> Measured:
    """Features, turns and mean spectrum of batches of pictures of one size, in [-1, 1]."""
    parts, powers, counts = [], [], []
    for images in tqdm(batches, "features", disable=None, leave=False):
        with torch.no_grad():
            early, late = _maps(images, [TURNING, STAGE])
            head = early[:, :, ROWS, COLUMNS]
            parts.append((late.mean((2, 3)), (head - head.flip(3)).flatten(1)))
            powers.append(power(images))
            counts.append(len(images))
    pooled, turns = (torch.cat(column) for column in zip(*parts, strict=True))
    weights = torch.tensor(counts, dtype=torch.float32) / sum(counts)
    return Measured(pooled, turns, torch.einsum("n,nyx->yx", weights, torch.stack(powers).cpu()))


def figures(samples: Measured, photographs: Measured) -> dict[str, float]:
    """All figures of merit of samples against photographs."""
    ours, real = samples.features, photographs.features
    precision, recall = precision_recall(ours, real)
    density, coverage = density_coverage(ours, real)
    return {
        "fid_like": frechet(ours, real),
        "diversity": diversity(ours, real),
        "precision": precision,
        "recall": recall,
        "density": density,
        "coverage": coverage,
        "pose_spread": pose_spread(samples.turns, photographs.turns),
        "grid": max(comb(samples.power, photographs.power).values()),  # up to 1.5 nobody sees one
    }


def _maps(images: Images, stages: list[int]) -> list[Float[Tensor, "n channels side side"]]:
    if images.shape[-1] != SIDE:
        images = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    network = efficientnet_lite.load("lite2")
    return network.features(images.clamp(-1, 1).contiguous(memory_format=torch.channels_last), stages)


def frechet(a: Features, b: Features) -> float:
    """Squared Fréchet distance of two normal distributions with the means and covariances of `a` and `b`.

    |m - n|^2 + tr(C + D - 2 (C D)^(1/2)); the trace of the root is the sum of the roots of CD's eigenvalues.
    """
    a, b = a.double(), b.double()
    C, D = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(C)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ D @ root).clamp(min=0).sqrt().sum()
    return float((a.mean(0) - b.mean(0)).square().sum() + C.trace() + D.trace() - 2 * shared)


def diversity(samples: Features, photographs: Features) -> float:
    """Mean distance between two samples, as a share of that between two photographs. Near 0: one picture."""
    return float(F.pdist(samples).mean() / F.pdist(photographs).mean())


def precision_recall(samples: Features, photographs: Features) -> tuple[float, float]:
    """Shares of samples among the photographs, and of photographs among the samples, in [0, 1].

    A set reaches as far around each member as to its third nearest neighbour (Kynkäänniemi et al., NeurIPS
    2019, equations 1 and 2).
    """
    between = torch.cdist(samples, photographs)
    precision = (between <= _radii(photographs, NEIGHBOURS)).any(1)
    recall = (between <= _radii(samples, NEIGHBOURS)[:, None]).any(0)
    return float(precision.float().mean()), float(recall.float().mean())


def density_coverage(samples: Features, photographs: Features) -> tuple[float, float]:
    """How many photographs a sample is near to, and the share of photographs that a sample is near to.

    (Naeem et al., ICML 2020, equations 3 and 4.) Unlike precision and recall they do not trust outliers;
    density may exceed 1.
    """
    near = torch.cdist(samples, photographs) <= _radii(photographs, DENSE_NEIGHBOURS)
    return float(near.sum(1).float().mean() / DENSE_NEIGHBOURS), float(near.any(0).float().mean())


def _radii(points: Features, neighbours: int) -> Float[Tensor, " n"]:
    """Distance of each point to its so many-th neighbour; with fewer points, to the last."""
    ranked = torch.cdist(points, points).topk(min(neighbours + 1, len(points)), largest=False).values
    return ranked[:, -1]


def pose_spread(samples: Float[Tensor, "n places"], photographs: Float[Tensor, "m places"]) -> float:
    """Standard deviation of the samples' turning of the head, as a share of the photographs'.

    In which way photographs of one kind differ most from their mirror images is the way that heads turn: the
    first principal axis of `Measured.turns`. No landmarks are needed, and it is the same for cats and towers.
    """
    middle = photographs.mean(0)
    with torch.random.fork_rng():  # the decomposition is randomised
        torch.manual_seed(0)
        _, _, axes = torch.pca_lowrank(photographs - middle, 1, center=False, niter=8)
    return float(((samples - middle) @ axes).std() / ((photographs - middle) @ axes).std())


def nearest(samples: Features, photographs: Features, count: int = 3) -> Tensor:
    """Indices (n, count) of the photographs most like each sample, by cosine."""
    return (F.normalize(samples) @ F.normalize(photographs).T).topk(count).indices


def power(images: Images) -> Power:
    """Mean power spectrum of the brightness, through a Hann window, which keeps the borders out of it."""
    grey = images.float().mean(1)
    window = torch.hann_window(grey.shape[-1], device=grey.device)
    grey = (grey - grey.mean((1, 2), keepdim=True)) * window * window[:, None]
    return torch.fft.fft2(grey).abs().square().mean(0)


def comb(samples: Power, photographs: Power) -> dict[int, float]:
    """For each of PERIODS, the samples' energy at the frequencies of such a grid, over the photographs'.

    About 1 without a grid, less for soft pictures. What an upsampling layer leaves behind repeats every 2
    pixels of its own resolution, so every 2, 4 or 8 pixels of the picture: a comb of lines at 1/2, 1/4, 1/8
    of the sampling frequency and their multiples (Odena et al., Distill 2016; Karras et al., NeurIPS 2021).
    Multiples of a shorter period are left to that one. Photographs have no such lines.
    """
    side = len(photographs)
    energies = {}
    for period in PERIODS:
        lines = torch.arange(period) * side // period
        odd = torch.arange(period) % 2 == 1
        taken = odd[:, None] | odd
        rows, columns = (axis[taken] for axis in torch.meshgrid(lines, lines, indexing="ij"))
        energies[period] = float(samples[rows, columns].sum() / photographs[rows, columns].sum())
    return energies
