"""LatentCLR: directions that change a picture alike wherever they start (Yüksel et al., ICCV 2021).

    python cli.py train configs/training/faces_latentclr.yaml

K moves are learnt at once. The change that a move makes to the maps of one layer shall be parallel for all
latents, and unlike the changes that the other moves make: a contrastive loss without any labels.
"""

import logging
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from backends import Latents, device
from backends.generators import Generator
from backends.malloc import kept_heap
from config import ConfigError
from directions import on_layers, parse_layers
from directions._statistics import spread
from plugins import build
from training.moves import components, resume, save
from training.recipes import read

log = logging.getLogger(__name__)


@dataclass
class Recipe:
    """The keys of the YAML file; defaults are those of the authors' code."""

    generator: dict[str, Any]
    folder: str  # of the checkpoint: a run continues from what it finds there
    out: str  # the .safetensors file that `directions/latentclr.py` reads
    layer: int  # row of the latents after which maps are compared (Generator.activations)
    model: Literal["global", "linear", "nonlinear"] = "global"
    directions: int = 32  # K
    depth: int = 3  # linear layers of a nonlinear model; 1 = as the models that the authors released
    components: int = 0  # principal components of W that moves are made of, see `basis`; 0 = any move
    orthogonal: bool = False  # global model: no two directions alike; with `components` they are uncorrelated
    # a move's length, uniform between these; with `components` in standard deviations of W
    alpha: list[float] = field(default_factory=lambda: [0.1, 0.1])
    temperature: float = 0.5  # multiplies similarities
    edited: str = "all"  # layers that move
    truncation: float = 0.7
    batch: int = 32  # latents a step, each moved in all K ways
    steps: int = 10_000
    rate: float = 1e-3
    decay: float = 1e-3  # of the weights
    milestones: list[int] = field(default_factory=lambda: [1000, 5000])  # steps at which the rate falls
    fall: float = 0.2
    seed: int = 0
    every: int = 50  # steps between log lines and checkpoints


class Global(nn.Module):
    """A vector per direction, the same for all latents (section 3.1).

    The paper's loss is a mean over all other directions, which a few copies of a good one hardly raise. With
    `orthogonal` there are no copies: the vectors are the rows of Q in the QR decomposition of the parameters.
    """

    def __init__(self, count: int, dim: int, orthogonal: bool = False) -> None:
        super().__init__()
        self.params = nn.Parameter(torch.randn(count, dim))
        self.orthogonal = orthogonal

    def vectors(self) -> Float[Tensor, "count dim"]:
        return torch.linalg.qr(self.params.T).Q.T if self.orthogonal else self.params

    def forward(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "count n dim"]:
        return self.vectors()[:, None].expand(-1, len(w), -1)

    @torch.no_grad()
    def fold(self, basis: Float[Tensor, "k dim"]) -> None:
        """From coordinates along the rows of `basis` to latents."""
        self.params = nn.Parameter(self.vectors() @ basis)
        self.orthogonal = False


class Conditional(nn.Module):
    """A network of w per direction: affine, or of several layers with batch normalisation and ReLU."""

    def __init__(self, count: int, dim: int, outputs: int, depth: int = 1) -> None:
        super().__init__()
        self.nets = nn.ModuleList(self._network(dim, outputs, depth) for _ in range(count))

    @staticmethod
    def _network(dim: int, outputs: int, depth: int) -> nn.Sequential:
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        for i in range(1, depth):
            parts[f"linear_{i}"] = nn.Linear(dim, dim, bias=False)
            parts[f"batchnorm_{i}"] = nn.BatchNorm1d(dim)
            parts[f"relu_{i}"] = nn.ReLU()
        parts[f"linear_{depth}"] = last = nn.Linear(dim, outputs, bias=depth == 1)
        if depth == 1:  # begins with a vector that w changes little: a random map of w is hard to leave
            nn.init.normal_(last.weight, std=0.1 * dim**-0.5)
            nn.init.normal_(last.bias)
        return nn.Sequential(parts)

    def forward(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "count n outputs"]:
        return torch.stack([net(w) for net in self.nets])

    @torch.no_grad()
    def fold(self, basis: Float[Tensor, "outputs dim"]) -> None:
        for net in self.nets:
            for value in net[-1].parameters():  # pyright: ignore[reportIndexIssue]
                value.data = basis.T @ value


def contrast(
    changes: Float[Tensor, "count n length"], temperature: float = 0.5
) -> tuple[Float[Tensor, ""], float]:
    """The loss of section 3.2 as the authors' code has it, and the share of changes that it sets apart.

    Similarities are absolute cosines times `temperature`, exponentiated; the loss is the mean of -log(p / q),
    where p is the mean over the same direction's other latents and q over all other directions' changes.
    """
    count, n = changes.shape[:2]
    flat = functional.normalize(changes.flatten(0, 1), dim=1)
    similar = torch.exp(temperature * (flat @ flat.T).abs())
    blocks = similar.unflatten(1, (count, n)).sum(2)  # (count * n, count)
    own = torch.arange(count, device=flat.device).repeat_interleave(n)
    within = blocks.gather(1, own[:, None])[:, 0]
    positive = (within - similar.diagonal()) / (n - 1)
    negative = (blocks.sum(1) - within) / (n * (count - 1))
    return (negative.log() - positive.log()).mean(), float((positive > negative).float().mean())


def run(config: str | Path, overrides: list[str] | None = None) -> Path:
    """Trains, or goes on training, and writes the directions. Raises ConfigError."""
    recipe = read(Recipe, Path(config), overrides)
    if recipe.batch < 2 or recipe.directions < 2:
        raise ConfigError("latentclr: contrasts need batch and directions of at least 2")
    if recipe.orthogonal and recipe.model != "global":
        raise ConfigError("latentclr: `orthogonal` is for model: global")
    generator = build(Generator, recipe.generator, "generator")
    torch.manual_seed(recipe.seed)
    frame = basis(generator, recipe)
    model = build_model(recipe, *frame.shape)
    optimizer = torch.optim.Adam(model.parameters(), recipe.rate, weight_decay=recipe.decay)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, recipe.milestones, recipe.fall)
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule}
    checkpoint = Path(recipe.folder) / "latentclr.pt"
    first = resume(checkpoint, parts)
    with kept_heap():
        for step in tqdm(range(first, recipe.steps), "latentclr", disable=None):
            optimizer.zero_grad()
            loss, accuracy = contrast(changes(model, generator, recipe, frame, step), recipe.temperature)
            loss.backward()
            optimizer.step()
            schedule.step()
            if (step + 1) % recipe.every == 0 or step + 1 == recipe.steps:
                log.info("step %d: loss %.4f, told apart %.1f %%", step + 1, loss.item(), 100 * accuracy)
                save(checkpoint, parts, step + 1)
    return write(model, generator, recipe, frame)


def build_model(recipe: Recipe, outputs: int, dim: int) -> Global | Conditional:
    if recipe.model == "global":
        if recipe.orthogonal and recipe.directions > outputs:
            raise ConfigError(f"latentclr: no more than {outputs} directions are orthogonal to each other")
        return Global(recipe.directions, outputs, recipe.orthogonal).to(device())
    depth = recipe.depth if recipe.model == "nonlinear" else 1
    return Conditional(recipe.directions, dim, outputs, depth).to(device())


def basis(generator: Generator, recipe: Recipe) -> Float[Tensor, "k dim"]:
    """Rows: what one unit of each output of a model moves.

    Without `components` the latent's own coordinates, as in the paper. With them the first principal
    components of W, a standard deviation each: where W hardly varies a small move destroys the picture, and
    does so alike for all latents, which is what the loss asks for.
    """
    if not recipe.components:
        return torch.eye(generator.dim, device=device())
    layers = parse_layers(recipe.edited, generator.layers, generator.size)
    return components(generator, layers, recipe.components)


def changes(
    model: nn.Module, generator: Generator, recipe: Recipe, frame: Float[Tensor, "k dim"], step: int
) -> Float[Tensor, "count n length"]:
    """What every direction does to the maps of this step's latents; the same step always draws the same."""
    seeds = [recipe.seed * 10**8 + step * recipe.batch + i for i in range(recipe.batch)]
    latents = generator.sample(seeds, recipe.truncation)
    chosen = parse_layers(recipe.edited, generator.layers, generator.size)
    moves = functional.normalize(model(latents[:, chosen[0]]), dim=2) @ frame  # (count, n, dim)
    source, low, high = torch.Generator().manual_seed(step), min(recipe.alpha), max(recipe.alpha)
    alpha = low + (high - low) * torch.rand(len(moves), generator=source).to(moves)
    with torch.no_grad():
        before = maps(generator, latents, recipe.layer)
    rows = on_layers(torch.ones(1, device=moves.device), chosen, generator.layers)
    return torch.stack(
        [
            maps(generator, latents + length * move[:, None] * rows, recipe.layer) - before
            for move, length in zip(moves, alpha, strict=True)
        ]
    )


def maps(generator: Generator, latents: Latents, layer: int) -> Float[Tensor, "n length"]:
    """What is compared: the maps of one layer, each sample's of unit length."""
    return functional.normalize(generator.activations(latents, layer).flatten(1), dim=1)


@torch.no_grad()
def write(
    model: Global | Conditional, generator: Generator, recipe: Recipe, frame: Float[Tensor, "k dim"]
) -> Path:
    """The file of directions, in latent coordinates, those with the largest effect first."""
    model.fold(frame)
    model.eval()
    state = {name: value.contiguous() for name, value in model.state_dict().items()}
    order = strength(model, generator, recipe).argsort(descending=True).tolist()
    if isinstance(model, Global):
        state = {"params": functional.normalize(state["params"][order], dim=1)}
    else:
        place = {old: new for new, old in enumerate(order)}
        keys = {name: name.split(".", 2) for name in state if "num_batches" not in name}
        state = {f"nets.{place[int(key[1])]}.{key[2]}": state[name] for name, key in keys.items()}
    out = Path(recipe.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(state, out)
    return out


def strength(model: nn.Module, generator: Generator, recipe: Recipe) -> Float[Tensor, " count"]:
    """Length of the change of the maps for a standard deviation of each move, on 8 latents."""
    latents = generator.sample(list(range(8)), recipe.truncation)
    moves = functional.normalize(model(latents[:, 0]), dim=2)
    before = maps(generator, latents, recipe.layer)
    lengths = []
    for move in moves:
        length = spread(generator, move.mean(0).expand(generator.layers, -1))
        after = maps(generator, latents + length * move[:, None], recipe.layer)
        lengths.append((after - before).norm(dim=1).mean())
    return torch.stack(lengths)
