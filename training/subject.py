"""The subject of a generator's pictures, for `backends/masks/subject.py`, without any labels but a few names.

    python cli.py train configs/training/faces_subject.yaml

Feature maps of samples are clustered (spherical k-means on maps of unit variance a channel; Collins et al.,
"Editing in style", CVPR 2020). A person looks at the sheet `sheets/clusters.png`, where every row shows one
cluster, and names those of the subject in the key `inside`. Logistic regression then separates them from the
others: one weight a channel.
"""

import logging
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Bool, Float, Int
from PIL import Image, ImageDraw
from safetensors.torch import load_file
from torch import Tensor

from backends import checkpoints
from backends.cache import whole
from backends.photos import to_pil
from config import ConfigError, resolve
from training._generator import GeneratorTrainer

log = logging.getLogger(__name__)
SHOWN, TILE = 12, 96  # pictures a row of the sheet, and their side
UNLIT = torch.tensor([-0.7, -0.7, 0.1])[:, None, None]  # blue: neither hair, skin nor most clothes are
ROUNDS = 40  # of k-means
Points = Float[Tensor, "places channels"]
Centres = Float[Tensor, "clusters channels"]  # of unit length


@dataclass(kw_only=True)
class Subject(GeneratorTrainer):
    """One step is one sample."""

    layer: int  # of W+, after which the feature maps are taken
    inside: list[int] = field(default_factory=list)  # the clusters of the subject; empty: only the sheet
    above: list[int] = field(
        default_factory=list
    )  # clusters of hats as well as clothes: only above the middle
    samples: int = 160  # of the seeds from 0 on
    places: int = 750  # that are kept of each
    clusters: int = 40
    truncation: float = 0.9
    ridge: float = 1e-3  # of the regression, on maps of unit variance

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(0 <= number < self.clusters for number in [*self.inside, *self.above]):
            raise ValueError(f"clusters are numbered from 0 to {self.clusters - 1}")

    @property
    def steps(self) -> int:
        return self.samples

    @torch.no_grad()
    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        file = resolve(self.folder) / f"maps_{number:05d}.safetensors"
        if not file.exists():
            maps = self._maps(number)
            points, side = maps.flatten(2)[0].T, maps.shape[-1]
            order = torch.randperm(len(points), generator=torch.Generator().manual_seed(number))
            chosen = order[: self.places].to(points.device)
            high = chosen // side < side / 2
            with whole(file) as partial:
                checkpoints.save({"points": points[chosen].half(), "high": high}, partial)
        return {}

    @torch.no_grad()
    def export(self) -> None:
        """Raises ConfigError when `inside` names no cluster, after it has drawn the sheet."""
        files = [resolve(self.folder) / f"maps_{number:05d}.safetensors" for number in range(self.samples)]
        read = [load_file(file) for file in files]
        points, high = (torch.cat([each[name] for each in read]) for name in ("points", "high"))
        points = points.float()
        mean, std = points.mean(0), points.std(0).clamp(min=1e-6)
        points = (points - mean) / std
        centres = clustered(points, self.clusters)
        sheet = resolve(self.folder) / "sheets" / "clusters.png"
        sheet.parent.mkdir(exist_ok=True)
        self._drawn(centres, mean, std).save(sheet)
        if not 0 < len(set(self.inside)) < self.clusters:
            raise ConfigError(f"inside: name some clusters, but not all: every row of {sheet.name} shows one")
        near = nearest(points, centres)
        labels = torch.isin(near, torch.tensor(self.inside))
        labels |= high & torch.isin(near, torch.tensor(self.above, dtype=torch.long))
        held = torch.arange(len(points)) % 10 == 0
        weight, bias = separated(points[~held], labels[~held], self.ridge)
        right = ((points[held] @ weight + bias > 0) == labels[held]).float().mean()
        log.info("%.1f %% of the held-out places are on their side", 100 * right)
        weight = weight / std  # of the maps as they are
        tensors = {"weight": weight[None, :, None, None], "bias": (bias - weight @ mean)[None]}
        checkpoints.save({**tensors, "layer": torch.tensor(self.layer)}, self.result)

    def _maps(self, number: int) -> Float[Tensor, "1 channels rows rows"]:
        return self.network.cut(self.network.sample([number], self.truncation), self.layer).maps

    def _drawn(self, centres: Centres, mean: Tensor, std: Tensor) -> Image.Image:
        """A row a cluster: its number, then where it is in the first samples."""
        sheet = Image.new("RGB", (TILE * (SHOWN + 1), TILE * len(centres)))
        for row in range(len(centres)):
            ImageDraw.Draw(sheet).text((8, TILE * row + 8), str(row))
        for column in range(min(SHOWN, self.samples)):
            latents = self.network.sample([column], self.truncation)
            picture = F.interpolate(self.network.render(latents, preview=True), (TILE, TILE), mode="area")
            maps = self._maps(column)
            found = nearest(((maps - mean[:, None, None].to(maps)) / std[:, None, None].to(maps)), centres)
            for row in range(len(centres)):
                lit = F.interpolate((found == row).float()[None], (TILE, TILE)).to(picture)
                tile = to_pil(picture * lit + (0.3 * picture + UNLIT) * (1 - lit))[0]
                sheet.paste(tile, (TILE * (column + 1), TILE * row))
        return sheet


def nearest(points: Tensor, centres: Centres) -> Int[Tensor, "..."]:
    """The number of the centre in whose direction a point lies; channels are in dimension 1."""
    return torch.einsum("nc...,kc->nk...", points, centres.to(points)).argmax(1)


def clustered(points: Points, count: int) -> Centres:
    """Spherical k-means (Dhillon & Modha, 2001): the same centres for the same points."""
    points = F.normalize(points, dim=1)
    source = torch.Generator().manual_seed(0)
    centres = points[torch.randperm(len(points), generator=source)[:count]]
    for _ in range(ROUNDS):
        near = nearest(points, centres)
        sums = torch.zeros_like(centres).index_add_(0, near, points)
        centres = torch.where(sums.norm(dim=1, keepdim=True) > 0, F.normalize(sums, dim=1), centres)
    return centres


def separated(
    points: Points, labels: Bool[Tensor, " places"], ridge: float
) -> tuple[Float[Tensor, " channels"], Float[Tensor, ""]]:
    """Weight and bias of logistic regression, by L-BFGS."""
    weight = torch.zeros(points.shape[1], requires_grad=True)
    bias = torch.zeros((), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(points @ weight + bias, labels.float())
        loss = loss + ridge * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # pyright: ignore[reportArgumentType]
    return weight.detach(), bias.detach()
