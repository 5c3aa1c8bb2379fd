"""LatentCLR: directions that change a picture alike wherever they start (Yüksel et al., ICCV 2021).

    python cli.py train configs/training/faces_latentclr.yaml

K directions are learnt at once. The change that a direction makes to the feature maps of one layer shall be
parallel for all latents, and unlike the changes that the other directions make: a contrastive loss without
any labels.
"""

from collections import OrderedDict
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import torch
from accelerate import Accelerator
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from backends import Latents, device
from config import ConfigError
from directions import on_layers, parse_layers
from directions._statistics import spread
from training import Part
from training._directions import DescentTrainer, basis


@dataclass(kw_only=True)
class LatentCLR(DescentTrainer):
    """Writes what `directions/latentclr.py` reads. The defaults are those of the authors' code."""

    layer: int  # W+ layer after which feature maps are compared
    model: Literal["global", "linear", "nonlinear"] = "global"
    directions: int = 32  # K
    depth: int = 3  # linear layers of a nonlinear model; 1 = as the models that the authors released
    components: int = 0  # principal components of W that directions are made of, see `basis`; 0 = all of W
    orthogonal: bool = False  # global model: no two directions alike; with `components` they are uncorrelated
    # a move's length, uniform between these; with `components` in standard deviations of W
    alpha: list[float] = field(default_factory=lambda: [0.1, 0.1])
    temperature: float = 0.5  # multiplies similarities
    edited: str = "all"  # layers that move
    batch: int = 32  # latents a step, each moved in all K ways
    steps: int = 10_000
    decay: float = 1e-3
    milestones: list[int] = field(default_factory=lambda: [1000, 5000])  # steps at which the rate falls
    fall: float = 0.2
    seed: int = 0
    losses: dict[str, float] = field(default_factory=lambda: {"contrast": 1.0})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.batch < 2 or self.directions < 2:
            raise ValueError("contrasts need batch and directions of at least 2")
        if self.orthogonal and self.model != "global":
            raise ValueError("`orthogonal` is for model: global")

    @cached_property
    def edited_layers(self) -> list[int]:
        return parse_layers(self.edited, self.network.layers, self.network.size)

    @cached_property
    def basis(self) -> Float[Tensor, "k dim"]:
        """Rows: what one unit of each output of a model moves.

        Without `components` the latent's own coordinates, as in the paper. With them the first principal
        components of W, a standard deviation each: where W hardly varies a small move destroys the picture,
        and does so alike for all latents, which is what the loss asks for.
        """
        if not self.components:
            return torch.eye(self.network.dim, device=device())
        return basis(self.network, self.edited_layers, self.components)

    @cached_property
    def directions_model(self) -> "Global | Conditional":
        torch.manual_seed(self.seed)
        outputs, dim = self.basis.shape
        if self.model == "global":
            if self.orthogonal and self.directions > outputs:
                raise ConfigError(f"directions: no more than {outputs} are orthogonal to each other")
            return Global(self.directions, outputs, self.orthogonal).to(device())
        depth = self.depth if self.model == "nonlinear" else 1
        return Conditional(self.directions, dim, outputs, depth).to(device())

    @cached_property
    def schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        return torch.optim.lr_scheduler.MultiStepLR(self.optimizer, self.milestones, self.fall)

    def models(self) -> dict[str, nn.Module]:
        return {"model": self.directions_model}

    def parts(self) -> dict[str, Part]:
        return {**super().parts(), "schedule": self.schedule}

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        terms = super().step(number, accelerator)
        self.schedule.step()
        return terms

    def terms(self, share: int) -> dict[str, Tensor]:
        loss, accuracy = contrast(self.changes(share), self.temperature)
        return {"contrast": loss, "accuracy": torch.tensor(accuracy)}

    def changes(self, share: int) -> Float[Tensor, "count n length"]:
        """What every direction does to the feature maps of this share's latents."""
        seeds = [self.seed * 10**8 + share * self.batch + i for i in range(self.batch)]
        latents = self.network.sample(seeds, self.truncation)
        w = latents[:, self.edited_layers[0]]
        moves = functional.normalize(self.directions_model(w), dim=2) @ self.basis  # (count, n, dim)
        source, low, high = torch.Generator().manual_seed(share), min(self.alpha), max(self.alpha)
        alpha = low + (high - low) * torch.rand(len(moves), generator=source).to(moves)
        with torch.no_grad():
            before = self.maps(latents)
        layers = on_layers(torch.ones(1, device=moves.device), self.edited_layers, self.network.layers)
        return torch.stack(
            [
                self.maps(latents + length * move[:, None] * layers) - before
                for move, length in zip(moves, alpha, strict=True)
            ]
        )

    def maps(self, latents: Latents) -> Float[Tensor, "n length"]:
        """What is compared: the feature maps of one layer, each sample's of unit length."""
        return functional.normalize(self.network.activations(latents, self.layer).flatten(1), dim=1)

    @torch.no_grad()
    def export(self) -> None:
        """The directions in latent coordinates, those with the largest effect first."""
        model = deepcopy(self.directions_model).eval()
        model.fold(self.basis)
        order = self.strength(model).argsort(descending=True).tolist()
        save_file(model.ordered(order), self.result)

    def strength(self, model: nn.Module) -> Float[Tensor, " count"]:
        """Length of the change of the maps for a standard deviation of each move, on 8 latents."""
        latents = self.network.sample(list(range(8)), self.truncation)
        before = self.maps(latents)
        lengths = []
        for move in functional.normalize(model(latents[:, 0]), dim=2):
            length = spread(self.network, move.mean(0).expand(self.network.layers, -1))
            after = self.maps(latents + length * move[:, None])
            lengths.append((after - before).norm(dim=1).mean())
        return torch.stack(lengths)


class Global(nn.Module):
    """A vector per direction, the same for all latents (section 3.1).

    The paper's loss is a mean over all other directions, which a few copies of a good one hardly raise. With
    `orthogonal` there are no copies: the vectors are the rows of Q in the QR decomposition of the parameters.
    """

    def __init__(self, count: int, outputs: int, orthogonal: bool = False) -> None:
        super().__init__()
        self.params = nn.Parameter(torch.randn(count, outputs))
        self.orthogonal = orthogonal

    def vectors(self) -> Float[Tensor, "count outputs"]:
        return torch.linalg.qr(self.params.T).Q.T if self.orthogonal else self.params

    def forward(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "count n outputs"]:
        return self.vectors()[:, None].expand(-1, len(w), -1)

    @torch.no_grad()
    def fold(self, basis: Float[Tensor, "outputs dim"]) -> None:
        """From coordinates along the rows of `basis` to latents."""
        self.params = nn.Parameter(self.vectors() @ basis)
        self.orthogonal = False

    def ordered(self, order: list[int]) -> dict[str, Tensor]:
        """What a file holds, with the directions in this order."""
        return {"params": functional.normalize(self.params.detach()[order], dim=1)}


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

    def ordered(self, order: list[int]) -> dict[str, Tensor]:
        """What a file holds, with the directions in this order."""
        nets = nn.ModuleList(self.nets[number] for number in order).state_dict(prefix="nets.")
        return {name: value.contiguous() for name, value in nets.items() if "num_batches" not in name}


def contrast(
    changes: Float[Tensor, "count n length"], temperature: float = 0.5
) -> tuple[Float[Tensor, ""], float]:
    """The loss of section 3.2 as in the authors' code, and its accuracy.

    Similarities are absolute cosines times `temperature`, exponentiated; the loss is the mean of -log(p / q),
    where p is the mean over the same direction's other latents and q over all other directions' changes.
    The accuracy is the share of changes for which p > q.
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
