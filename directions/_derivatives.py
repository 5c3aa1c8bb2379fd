"""How pictures, or maps inside a generator, change along the principal components of W."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from backends import Images, Latents
from backends.generators import Generator
from directions import on_layers
from directions._disk import on_disk
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


def _moves(generator: Generator, layers: tuple[int, ...], count: int) -> list[Float[Tensor, "layers dim"]]:
    """STEP standard deviations along each of the first components, on the chosen layers."""
    variances, vectors = principal(generator, layers, SAMPLES)
    sizes = STEP * variances[:count].sqrt()
    return [on_layers(sizes[i] * vectors[i], list(layers), generator.layers) for i in range(count)]


@on_disk(version=1)
@torch.no_grad()
def pictures_along(
    generator: Generator, layers: tuple[int, ...], seeds: tuple[int, ...], count: int, pixels: int
) -> dict[str, Tensor]:
    """`jacobian`, (points, k, 3, pixels, pixels): a picture's change for a standard deviation of each."""
    starts = points(generator, seeds)
    columns = []
    for move in tqdm(_moves(generator, layers, count), "measuring the Jacobian", disable=None):
        ends = [pictures(generator, starts + sign * move, pixels) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    return {"jacobian": torch.stack(columns, 1)}


@torch.no_grad()
def maps_along(
    generator: Generator, layers: tuple[int, ...], seeds: tuple[int, ...], count: int, layer: int
) -> Float[Tensor, "points k channels side side"]:
    """The same of the maps after a layer; quick enough not to be kept."""
    starts = points(generator, seeds)
    columns = []
    for move in _moves(generator, layers, count):
        ends = [generator.activations(starts + sign * move, layer) for sign in (1, -1)]
        columns.append((ends[0] - ends[1]) / (2 * STEP))
    return torch.stack(columns, 1)
