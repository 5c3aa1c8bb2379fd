"""Pairs of latents and pictures, and the start of an encoder and of its losses by least squares on them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from safetensors.torch import load_file, save_file
from torch import Tensor
from tqdm import tqdm

from backends import Images, Latents, device
from backends.cache import whole
from backends.generators import Generator
from backends.inverters import check_least
from backends.inverters._space import Space
from backends.losses import resize
from backends.networks.lite_encoder import SIDE, Features, LiteEncoder
from training._crops import Crops
from training._shortcut import Shortcut

SEEN = 600  # pictures that statistics and the shortcut are taken from, at most
CHUNK = 50
OWN, NEAR, FAR, OTHERS = 350, 0.1, 0.4, 0.3  # see `follow`; noise in standard deviations of W
RIDGE = 0.3  # of the regression of w, relative to the mean square of its inputs
TOLD = 96  # largest components of W that the regression tells; it knows nothing of the others
log = logging.getLogger(__name__)


@dataclass
class Pairs:
    """Latents with their pictures."""

    count: int = 1000
    batch: int = 8  # a step, of each process
    truncation: float = 0.5  # psi of the most truncated ones; the others reach to 1
    spread: float = 0.5  # how far layers of half of them stray, standard deviations of W, at most

    def __post_init__(self) -> None:
        check_least(2, self, "count")
        check_least(1, self, "batch")


@dataclass(frozen=True)
class Known:
    """Pairs, drawn."""

    coordinates: Float[Tensor, "n layers dim"]  # whitened, float16
    pictures: UInt8[Tensor, "n 3 side side"]

    def images(self, chosen: Tensor) -> Images:
        """In [-1, 1]."""
        return self.pictures[chosen].float() / 127.5 - 1


def space(generator: Generator) -> Space:
    """Whitened coordinates, the largest component first."""
    found = Space.of(generator)
    return Space(found.mean, found.basis.flip(1), found.inverse.flip(0))


def pairs(generator: Generator, space: Space, settings: Pairs, seed: int, file: Path) -> Known:
    """All pairs; kept in `file`, as drawing them takes minutes."""
    if not file.is_file():
        coordinates, pictures = [], []
        for start in tqdm(range(0, settings.count, CHUNK), "pairs", disable=None):
            numbers = torch.Generator().manual_seed(seed * 1_000_003 + start)
            drawn = draw(generator, space, settings, min(CHUNK, settings.count - start), numbers)
            coordinates.append(space.coordinates(drawn).half())
            for latent in drawn:
                picture = resize(generator.render(latent[None]), min(2 * SIDE, generator.size))
                pictures.append(((picture.clamp(-1, 1) + 1) * 127.5).round().byte().cpu())
        with whole(file) as partial:
            save_file({"coordinates": torch.cat(coordinates), "pictures": torch.cat(pictures)}, partial)
    return Known(**load_file(file))


@torch.no_grad()
def draw(
    generator: Generator, space: Space, settings: Pairs, count: int, numbers: torch.Generator
) -> Latents:
    """Latents of W at any truncation; half of them with up to two other people's layers mixed in, and noise.

    Without these an encoder would see no reason ever to let layers differ.
    """
    people = [generator.mapping(torch.randn(count, generator.z_dim, generator=numbers)) for _ in range(3)]
    layer = torch.arange(generator.layers, device=device())[None, :, None]
    cuts = torch.randint(1, generator.layers, (2, count, 1, 1), generator=numbers).sort(0).values
    cuts, chances = cuts.to(device()), torch.rand(4, count, 1, 1, generator=numbers).to(device())
    later = torch.where(layer < cuts[1], people[1], people[2])
    mixed = people[0] + chances[0] * (torch.where(layer < cuts[0], people[0], later) - people[0])
    noise = torch.randn(count, generator.layers, generator.dim, generator=numbers).to(device())
    mixed = mixed + settings.spread * chances[1] * (noise @ space.basis.T)
    chosen = torch.where(chances[2] < 0.5, mixed, people[0])
    psi = settings.truncation + (1 - settings.truncation) * chances[3]
    return space.mean + psi * (chosen - space.mean)


@torch.no_grad()
def fit_shortcut(shortcut: Shortcut, known: Known) -> None:
    """On the first pairs."""
    latents, pictures = _first(shortcut, known)
    shortcut.fit(latents, pictures)


@torch.no_grad()
def follow(shortcut: Shortcut, encoder: LiteEncoder, known: Known, crops: Crops, step: int) -> None:
    """On what the encoder makes of photographs by now, disturbed a little; pairs count less."""
    if shortcut.exact:
        return
    numbers = torch.Generator().manual_seed(step)
    chosen = torch.randint(len(crops), (min(OWN, len(crops)),), generator=numbers)
    coordinates = shortcut.space.coordinates(
        torch.cat([encoder(crops.images(part.tolist())[0]) for part in chosen.split(CHUNK)])
    )
    noise = torch.randn(coordinates.shape, generator=numbers)
    strength = torch.full((len(coordinates), encoder.layers, 1), NEAR)
    later = encoder.layers - 1 - shortcut.layer  # layers that nothing but the colours depends on
    strength[:, -later:] += FAR * torch.rand(len(coordinates), 1, 1, generator=numbers)
    own = shortcut.space.latents(coordinates + (strength * noise).to(coordinates))
    side = known.pictures.shape[-1]
    true = torch.cat([resize(shortcut.generator.render(latent[None]), side) for latent in own])
    latents, pictures = _first(shortcut, known)
    weights = torch.cat([torch.ones(len(own)), torch.full((len(latents),), OTHERS)])
    shortcut.fit(torch.cat([own, latents]), torch.cat([true, pictures]), weights)


def _first(shortcut: Shortcut, known: Known) -> tuple[Latents, Images]:
    chosen = torch.arange(min(SEEN, len(known.pictures)))
    return shortcut.space.latents(known.coordinates[chosen].float()), known.images(chosen)


@torch.no_grad()
def fit_encoder(encoder: LiteEncoder, known: Known, crops: Crops) -> None:
    """Standardise its features, over pairs and photographs alike, and regress w from those of pairs."""
    generated = [
        encoder.features(known.images(part)) for part in torch.arange(len(known.pictures)).split(CHUNK)
    ]
    real = [
        encoder.features(crops.images(part.tolist())[0])
        for part in torch.arange(min(SEEN, len(crops))).split(CHUNK)
    ]
    for k, (shift, scale) in enumerate(zip(encoder.shifts, encoder.scales, strict=True)):
        values = torch.cat([batch[k].flatten(0, 1) for batch in generated + real])
        shift.copy_(values.mean(0))
        scale.copy_(1 / (values.std(0) + 1e-3))
    inputs = torch.cat([encoder.flat(_standardised(encoder, batch)) for batch in generated])
    wanted = known.coordinates.float().mean(1)
    center, mean = inputs.mean(0), wanted.mean(0)
    inputs = inputs - center
    kernel = inputs @ inputs.T
    kernel += RIDGE * kernel.diagonal().mean() * torch.eye(len(kernel))
    weight = inputs.T @ torch.linalg.solve(kernel, wanted - mean)
    weight[:, TOLD:], mean[TOLD:] = 0, 0
    encoder.base.weight.copy_(weight.T)
    encoder.base.bias.copy_(mean - center @ weight)
    told = 1 - (inputs @ weight + mean - wanted)[:, :32].square().mean() / wanted[:, :32].var(0).mean()
    log.info("w starts from a regression that tells %.0f %% of its 32 largest components", 100 * told)


def _standardised(encoder: LiteEncoder, features: Features) -> Features:
    return [(x - a) * b for x, a, b in zip(features, encoder.shifts, encoder.scales, strict=True)]
