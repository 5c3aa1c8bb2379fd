"""Directions that a network can tell apart in pictures, straight or bent, learnt without labels.

    python cli.py train configs/training/cats_shifts.yaml

A latent is moved along one of K directions; a second network sees the pictures before and after, and says
which direction it was and how far. Both learn together, so that directions become as distinct as they can be.
Straight directions: Voynov and Babenko (ICML 2020). Bent ones: WarpedGANSpace (Tzelepis et al., ICCV 2021).
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from backends.generators import Generator
from backends.malloc import kept_heap
from directions._statistics import statistics
from directions._warps import Warps
from plugins import build
from training.moves import components, resume, save
from training.recipes import read

log = logging.getLogger(__name__)


@dataclass
class Recipe:
    """The keys of the YAML file."""

    generator: dict[str, Any]
    folder: str  # of the checkpoint: a run continues from what it finds there
    out: str  # the .safetensors file that `directions/deformator.py` or `directions/warped.py` reads
    model: Literal["deformator", "warps"] = "deformator"
    directions: int = 32  # K
    pairs: int = 8  # of Gaussians in each warp
    components: int = 64  # principal components of W that moves are made of
    least: float = 0.5  # a move's length, between these, both ways, in standard deviations
    most: float = 6.0
    maps: int = -1  # row after which the maps are seen instead of pictures; -1 = pictures
    pixels: int = 64  # side of the pictures that are seen
    width: int = 64  # channels of the network that tells directions apart
    importance: float = 0.25  # of the length against the number, as in both papers
    truncation: float = 1.0
    batch: int = 16
    steps: int = 5000
    rate: float = 1e-3
    seed: int = 0
    every: int = 100


class Deformator(nn.Module):
    """Orthonormal directions, as in the paper's best variant: the rows of an orthogonalised matrix."""

    def __init__(self, count: int, frame: Float[Tensor, "k dim"]) -> None:
        super().__init__()
        self.register_buffer("frame", frame)
        self.matrix = nn.Parameter(torch.randn(len(frame), count, device=frame.device))

    def vectors(self) -> Float[Tensor, "count dim"]:
        return torch.linalg.qr(self.matrix)[0].T @ self.frame

    def move(self, w: Float[Tensor, "n dim"], number: int) -> Float[Tensor, "n dim"]:
        return self.vectors()[number].expand_as(w)


class Witness(nn.Module):
    """Two pictures, or maps, to the number of the direction (K logits) and the signed length of the move."""

    def __init__(self, channels: int, width: int, count: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(2 * channels, width, 3, padding=1),
            nn.LeakyReLU(0.2),
            *self._halving(width, 2 * width),
            *self._halving(2 * width, 4 * width),
            *self._halving(4 * width, 4 * width),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Linear(4 * 4 * width, count + 1)

    @staticmethod
    def _halving(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]

    def forward(
        self, before: Float[Tensor, "n channels h w"], after: Float[Tensor, "n channels h w"]
    ) -> tuple[Float[Tensor, "n count"], Float[Tensor, " n"]]:
        out = self.head(self.body(torch.cat([before, after - before], dim=1)))
        return out[:, :-1], out[:, -1]


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Trains, or goes on training, and writes the directions. Raises ConfigError."""
    recipe = read(Recipe, Path(config), overrides)
    generator = build(Generator, recipe.generator, "generator")
    torch.manual_seed(recipe.seed)
    model = build_model(generator, recipe)
    channels = seen(generator, recipe, generator.mean()).shape[1]
    witness = Witness(channels, recipe.width, recipe.directions).to(generator.mean().device)
    optimizer = torch.optim.Adam([*model.parameters(), *witness.parameters()], recipe.rate)
    parts = {"model": model, "witness": witness, "optimizer": optimizer}
    checkpoint = Path(recipe.folder) / "shifts.pt"
    first, told = resume(checkpoint, parts), torch.full((recipe.directions,), 0.5)
    with kept_heap():
        for step in tqdm(range(first, recipe.steps), "shifts", disable=None):
            optimizer.zero_grad()
            numbers, right, loss = episode(model, witness, generator, recipe, step)
            loss.backward()
            optimizer.step()
            for number, correct in zip(numbers.tolist(), right.tolist(), strict=True):
                told[number] += 0.05 * (correct - told[number])
            if (step + 1) % recipe.every == 0 or step + 1 == recipe.steps:
                share = 100 * float(told.mean())
                log.info("step %d: loss %.3f, told apart %.1f %%", step + 1, loss.item(), share)
                save(checkpoint, parts, step + 1)
    return write(model, told, Path(recipe.out))


def build_model(generator: Generator, recipe: Recipe) -> Deformator | Warps:
    frame = components(generator, range(generator.layers), recipe.components)
    if recipe.model == "deformator":
        return Deformator(recipe.directions, frame)
    return Warps(recipe.directions, recipe.pairs, frame, statistics(generator).mean.mean(0))


def episode(
    model: Deformator | Warps, witness: Witness, generator: Generator, recipe: Recipe, step: int
) -> tuple[Int[Tensor, " n"], Float[Tensor, " n"], Float[Tensor, ""]]:
    """Directions taken, whether each was recognised, and the loss; the same step takes the same moves."""
    source = torch.Generator().manual_seed(recipe.seed * 10**8 + step)
    numbers = torch.randint(0, recipe.directions, (recipe.batch,), generator=source)
    share = 2 * torch.rand(recipe.batch, generator=source) - 1
    lengths = share.sign() * (recipe.least + (recipe.most - recipe.least) * share.abs())
    latents = generator.sample([step * recipe.batch + i for i in range(recipe.batch)], recipe.truncation)
    numbers, lengths = numbers.to(latents.device), lengths.to(latents)
    w = latents.mean(1)
    moves = torch.cat([model.move(w[i : i + 1], number) for i, number in enumerate(numbers.tolist())])
    with torch.no_grad():
        before = seen(generator, recipe, latents)
    after = seen(generator, recipe, latents + (lengths[:, None] * moves)[:, None])
    logits, guessed = witness(before, after)
    loss = functional.cross_entropy(logits, numbers)
    loss = loss + recipe.importance * (guessed - lengths).abs().mean()
    return numbers, (logits.argmax(1) == numbers).float(), loss


def seen(
    generator: Generator, recipe: Recipe, latents: Float[Tensor, "n layers dim"]
) -> Float[Tensor, "n channels side side"]:
    """Small pictures, or the maps of a layer."""
    if recipe.maps >= 0:
        return generator.activations(latents, recipe.maps)
    return functional.interpolate(generator.synthesize(latents), size=(recipe.pixels,) * 2, mode="area")


@torch.no_grad()
def write(model: Deformator | Warps, told: Float[Tensor, " count"], out: Path) -> Path:
    """The directions that were recognised most often come first."""
    order = told.argsort(descending=True)
    if isinstance(model, Deformator):
        state = {"params": model.vectors()[order], "told": told[order]}
    else:
        kept = model.state_dict()
        state = {name: kept[name][order] for name in ("support", "weight", "width")}
        state |= {name: kept[name] for name in ("frame", "mean")}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.cpu().contiguous() for name, value in state.items()}, out)
    return out
