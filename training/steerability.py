"""Steerability: walks that zoom, shift, turn or recolour, learnt from pictures (Jahanian et al., ICLR 2020).

    python cli.py train configs/training/cats_steerability.yaml

The picture of a moved latent is compared with the moved picture: no labels, and the generator is its own
teacher. `directions/steerability.py` also has the answer in closed form, which small moves agree with.
"""

import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from tqdm import tqdm

from backends.generators import Generator
from backends.malloc import kept_heap
from config import ConfigError
from directions._stored import Stored, write
from directions._transforms import NAMES, transformed
from directions.steerability import Steerability
from plugins import build
from training.moves import components, resume, save
from training.recipes import read

log = logging.getLogger(__name__)


@dataclass
class Recipe:
    """The keys of the YAML file."""

    generator: dict[str, Any]
    folder: str  # of the checkpoint: a run continues from what it finds there
    out: str  # the .safetensors file that `directions/steerability.py` reads
    walks: list[str] = field(default_factory=lambda: ["zoom in", "shift right", "shift down", "brighter"])
    amount: float = 0.3  # largest transformation (see `directions/_transforms.py`), both ways
    strength: float = 3.0  # of the walk that shall reach it
    maps: int = -1  # row after which maps are compared instead of pictures; -1 = pictures
    pixels: int = 64  # side of the pictures that are compared
    components: int = 64  # principal components of W that walks are made of
    truncation: float = 0.7
    batch: int = 4
    steps: int = 500  # 0 = no training: the closed form of Spingarn et al. (ICLR 2021)
    rate: float = 0.02
    every: int = 50


class Walks(torch.nn.Module):
    """A vector per transformation, in standard deviations along the components of W; all zero at first."""

    def __init__(self, count: int, components: int) -> None:
        super().__init__()
        self.params = torch.nn.Parameter(torch.zeros(count, components))


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Trains, or goes on training, and writes the walks. Raises ConfigError."""
    recipe = read(Recipe, Path(config), overrides)
    if unknown := [name for name in recipe.walks if name not in NAMES]:
        raise ConfigError(f"walks: {unknown[0]!r} is none; there are: {', '.join(NAMES)}")
    generator = build(Generator, recipe.generator, "generator")
    frame = components(generator, range(generator.layers), recipe.components)
    walks = Walks(len(recipe.walks), len(frame)).to(frame.device)
    optimizer = torch.optim.Adam(walks.parameters(), recipe.rate)
    parts = {"walks": walks, "optimizer": optimizer}
    checkpoint = Path(recipe.folder) / "steerability.pt"
    first = resume(checkpoint, parts) if recipe.steps else 0
    with kept_heap():
        for step in tqdm(range(first, recipe.steps), "steerability", disable=None):
            optimizer.zero_grad()
            losses = [
                loss(generator, recipe, k, walks.params[k] @ frame, step) for k in range(len(recipe.walks))
            ]
            torch.stack(losses).sum().backward()
            optimizer.step()
            if (step + 1) % recipe.every == 0 or step + 1 == recipe.steps:
                told = zip(recipe.walks, losses, strict=True)
                log.info("step %d: %s", step + 1, ", ".join(f"{name} {x.item():.3f}" for name, x in told))
                save(checkpoint, parts, step + 1)
    moves = walks.params.detach() @ frame if recipe.steps else closed(generator, recipe)
    out = Path(recipe.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    write(out, {name: Stored(move[None].cpu()) for name, move in zip(recipe.walks, moves, strict=True)})
    return out


def closed(generator: Generator, recipe: Recipe) -> Float[Tensor, "walks dim"]:
    """The moves of the source itself, to be kept in a file: they take a minute for large generators."""
    source = Steerability(maps=recipe.maps, basis=recipe.components, pixels=recipe.pixels)
    start = generator.mean()
    return torch.stack([source.find(generator, name).step(start)[0, 0] for name in recipe.walks])


def loss(
    generator: Generator, recipe: Recipe, number: int, walk: Float[Tensor, " dim"], step: int
) -> Float[Tensor, ""]:
    """Equation 2 of the paper, relative to no walk: 1 = it does nothing, 0 = it does all that is wanted."""
    source = torch.Generator().manual_seed(step * len(recipe.walks) + number)
    share = 2 * float(torch.rand((), generator=source)) - 1  # one amount for the batch, from -1 to 1
    latents = generator.sample([step * recipe.batch + i for i in range(recipe.batch)], recipe.truncation)
    with torch.no_grad():
        before = seen(generator, recipe, latents)
        wanted, mask = transformed(recipe.walks[number], before, share * recipe.amount)
    after = seen(generator, recipe, latents + share * recipe.strength * walk)
    nothing = (mask * (before - wanted)).square().sum().clamp(min=1e-12)
    return (mask * (after - wanted)).square().sum() / nothing


def seen(
    generator: Generator, recipe: Recipe, latents: Float[Tensor, "n layers dim"]
) -> Float[Tensor, "n channels side side"]:
    """Small pictures, or the maps of a layer."""
    if recipe.maps >= 0:
        return generator.activations(latents, recipe.maps)
    return functional.interpolate(generator.synthesize(latents), size=(recipe.pixels,) * 2, mode="area")
