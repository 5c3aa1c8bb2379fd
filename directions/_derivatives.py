"""How pictures, or feature maps inside a generator, change along the principal components of W."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from backends import Images, Latents
from backends.generators import Generator
from directions import on_layers
from directions._cache import on_disk
from directions._statistics import principal

STEP = 0.5  # of the finite differences, standard deviations of W
SAMPLES = 10_000  # latents whose principal components are taken


def points(generator: Generator, seeds: tuple[int, ...]) -> Latents:
    """The latents at which derivatives are taken: those of seeds, or the mean."""
    return generator.sample(list(seeds)) if seeds else generator.mean()


@torch.no_grad()
def pictures(generator: Generator, latents: Latents, pixels: int) -> Images:
    """Small pictures, which are quick to compare."""
    images = generator.render(latents, preview=True).float()
    return functional.interpolate(images, size=(pixels, pixels), mode="area")


def basis(
    generator: Generator, layers: tuple[int, ...], count: int
) -> tuple[Float[Tensor, " k"], Float[Tensor, "k dim"]]:
    """Standard deviations and unit vectors of at most `count` components, those without variance left out."""
    variances, vectors = principal(generator, layers, SAMPLES)
    count = min(count, int((variances > 1e-6 * variances[0]).sum()))
    return variances[:count].sqrt(), vectors[:count]


@on_disk(version=1)
@torch.no_grad()
def pictures_along(
    generator: Generator, layers: tuple[int, ...], seeds: tuple[int, ...], count: int, pixels: int
) -> dict[str, Tensor]:
    """`jacobian`, (points, k, 3, pixels, pixels): a picture's change for a standard deviation of each."""
    return {"jacobian": _along(generator, layers, seeds, count, lambda w: pictures(generator, w, pixels))}


@torch.no_grad()
def maps_along(
    generator: Generator, layers: tuple[int, ...], seeds: tuple[int, ...], count: int, layer: int
) -> Float[Tensor, "points k channels side side"]:
    """The same of the feature maps after a layer; quick enough not to be kept."""
    return _along(generator, layers, seeds, count, lambda w: generator.activations(w, layer))


def _along(
    generator: Generator,
    layers: tuple[int, ...],
    seeds: tuple[int, ...],
    count: int,
    look: Callable[[Latents], Float[Tensor, "points channels side side"]],
) -> Float[Tensor, "points k channels side side"]:
    """Central differences, STEP to either side along each of the first `count` components."""
    starts, columns = points(generator, seeds), []
    stds, vectors = basis(generator, layers, count)
    for vector in tqdm(STEP * stds[:, None] * vectors, "measuring derivatives", disable=None):
        step = on_layers(vector, list(layers), generator.layers)
        columns.append((look(starts + step) - look(starts - step)) / (2 * STEP))
    return torch.stack(columns, 1)
