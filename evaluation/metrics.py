"""Figures of merit in the features of EfficientNet-Lite2, which training never sees (it uses Lite0).

"FID-like" is the Fréchet distance of FID (Heusel et al., NeurIPS 2017) on these features; it is comparable
within this project only, and only for equal counts of samples.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends import Images
from backends.networks import efficientnet_lite

SIDE = 128  # pictures are resized to it before the feature network, pixels
STAGE = 6  # the last; pooled over places: 352 features
Features = Float[Tensor, "n 352"]


@torch.no_grad()
def features(images: Images) -> Features:
    """Pooled features of pictures in [-1, 1] of any size."""
    if images.shape[-1] != SIDE:
        images = F.interpolate(images, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    network = efficientnet_lite.load("lite2")
    [maps] = network.features(images.clamp(-1, 1).contiguous(memory_format=torch.channels_last), [STAGE])
    return maps.mean((2, 3))


def features_of(batches: Iterable[Images] | Tensor, batch: int = 32) -> Features:
    """Features of many pictures, a batch at a time."""
    parts = batches.split(batch) if isinstance(batches, Tensor) else batches
    return torch.cat([features(part) for part in tqdm(parts, "features", disable=None, leave=False)])


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


def nearest(samples: Features, photographs: Features, count: int = 3) -> Tensor:
    """Indices (n, count) of the photographs most like each sample, by cosine."""
    return (F.normalize(samples) @ F.normalize(photographs).T).topk(count).indices
