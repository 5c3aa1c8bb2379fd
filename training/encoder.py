"""An encoder for a generator: photographs -> W+ that is close to W (e4e, for processors).

    python cli.py train configs/training/faces_encoder.yaml data.path=photographs.zip

Tov et al., "Designing an encoder for StyleGAN image manipulation", SIGGRAPH 2021. Distortion: the losses on
pictures. Editability: small deltas, freed from coarse to fine layers, and a discriminator of latents.
Different here: the network (`backends/networks/lite_encoder.py`); the losses see pictures of `side` pixels
that are read off the maps of an early layer (`_shortcut.py`); beside photographs there are pictures whose
latents are known, from which w starts by regression, in closed form (`_encoder_start.py`).
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from backends import Images, dataset, device, losses
from backends.aligners import Aligner
from backends.dataset import Data
from backends.networks import efficientnet_lite
from backends.networks.efficientnet_lite import Size
from backends.photos import to_pil
from config import resolve
from plugins import build
from training import Part, _crops, _encoder_start
from training._crops import Crops
from training._encoder_networks import Networks, Rates, export, prepared
from training._encoder_start import Pairs
from training._generator import GeneratorTrainer
from training._latent_discriminator import Adversary, fooled, terms
from video import sheet

WEIGHTS = {
    "pixel": 8.0,
    "perceptual": 1.0,
    "identity": 0.0,  # faces only; dlib's distance is also what reports judge by
    "pair": 0.3,
    "delta": 0.05,
    "prior": 0.02,
    "adversarial": 0.0,
}


@dataclass(kw_only=True)
class Encoder(GeneratorTrainer):
    """Writes what `backends/inverters/encoder.py` reads. A term whose weight is 0 is not computed."""

    data: Data  # `holdout` is not read: see training/_crops.py
    aligner: dict[str, Any] = field(default_factory=lambda: {"name": "center"})
    backbone: Size = "lite0"
    rank: int = 128  # largest components of W within which layers may differ; at most its dimension
    cut: int | None = (
        None  # layer after which the losses read pictures off; None = the generator's own choice
    )
    refit: int = (
        500  # steps after which the cut's head is fitted to the encoder's own latents again; 0 = never
    )
    side: int = 128  # of the pictures that are compared, pixels; at most what the cut gives
    batch: int = 8  # photographs a step, of each process
    pairs: Pairs = field(default_factory=Pairs)
    steps: int = 20000
    rates: Rates = field(default_factory=Rates)
    delta_start: int = 150  # steps with one w for all layers; e4e: 20000
    delta_every: int = 0  # steps between layers that may differ, from coarse to fine; 0 = all at once
    focus: float = 3.0  # how much more the middle of the picture counts than its edge
    padding: float = 0.2  # how much what the aligner added counts, against the photograph
    adversary: Adversary = field(default_factory=Adversary)
    seed: int = 0
    examples: int = 40  # held-out photographs for the figures in the log
    losses: dict[str, float] = field(default_factory=WEIGHTS.copy)

    @cached_property
    def crops(self) -> tuple[Crops, Crops]:
        """Crops to train on, and the held-out ones. Raises ConfigError."""
        size = min(self.network.size, 2 * self.side)
        file = resolve(self.folder) / f"crops{size}.safetensors"
        return _crops.load(self.data, build(Aligner, self.aligner, "aligner"), size, file)

    @cached_property
    def networks(self) -> Networks:
        """All that is learnt, and what the losses need, at the beginning of the run. Raises ConfigError."""
        return prepared(self, self.network, self.crops[0])

    def parts(self) -> dict[str, Part]:
        return {"networks": self.networks, "optimizers": self.networks.optimizers}

    def open_layers(self, step: int) -> int:
        """How many layers may differ from the common w in this step."""
        if step < self.delta_start:
            return 0
        return 1 + (step - self.delta_start) // self.delta_every if self.delta_every else self.network.layers

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        nets, rank = self.networks, accelerator.process_index
        if self.refit and number and number % self.refit == 0:
            _encoder_start.follow(nets.shortcut, nets.average, nets.pairs, self.crops[0], number)
        numbers = torch.Generator().manual_seed((self.seed * 1_000_003 + number) * 64 + rank)
        found, coordinates = self._reconstruction(number, numbers, accelerator)
        if self.losses["pair"]:
            found["pair"] = self._regression(number, numbers, accelerator)
        if self.losses["adversarial"]:
            found["adversarial"] = fooled(nets.discriminator, coordinates)
        nets.descend("encoder", {name: self.losses[name] * x for name, x in found.items()}, accelerator)
        if self.losses["adversarial"]:
            found |= self._judged(coordinates.detach(), number, numbers, accelerator)
        nets.update_average(number)
        zero = dict.fromkeys(self.losses, 0.0)
        return zero | {name: term.item() for name, term in found.items()}

    def _encoded(self, images: Images, number: int, accelerator: Accelerator) -> tuple[Tensor, Tensor]:
        """Whitened w and deltas of pictures."""
        encoder = self.networks.encoder
        with accelerator.autocast():
            features = encoder.features(images)
        base, deltas = encoder.heads([x.float() for x in features])
        closed = torch.arange(encoder.layers, device=deltas.device) >= self.open_layers(number)
        return base, deltas.masked_fill(closed[:, None], 0.0)

    def _reconstruction(
        self, number: int, numbers: torch.Generator, accelerator: Accelerator
    ) -> tuple[dict[str, Tensor], Float[Tensor, "n layers dim"]]:
        """The terms of photographs, and their whitened latents."""
        nets, encoder = self.networks, self.networks.encoder
        rank, ranks = accelerator.process_index, accelerator.num_processes
        chosen = dataset.batch(len(self.crops[0]), self.seed, number, self.batch, rank, ranks)
        images, masks = (x.to(accelerator.device) for x in self.crops[0].images(chosen))
        flipped = torch.rand(len(chosen), generator=numbers) < 0.5
        images[flipped], masks[flipped] = images[flipped].flip(3), masks[flipped].flip(2)
        base, deltas = self._encoded(images, number, accelerator)
        coordinates = encoder.coordinates(base, deltas)
        # in float32: bfloat16 takes longer through depthwise convolutions, there and back
        pictures = nets.shortcut(encoder.latents(coordinates), coordinates)
        images = losses.resize(images, pictures.shape[-1])
        counts = self.padding + (1 - self.padding) * masks
        found = distortion(pictures, images, counts, self.losses, self.focus, accelerator)
        found["delta"] = deltas.square().sum(2).mean() / self.rank
        found["prior"] = base.square().mean()
        return found, coordinates

    def _regression(self, number: int, numbers: torch.Generator, accelerator: Accelerator) -> Tensor:
        """Mean squared error of the whitened latents of pairs, by the size of what a component does."""
        encoder, known = self.networks.encoder, self.networks.pairs
        chosen = torch.randint(len(known.coordinates), (self.pairs.batch,), generator=numbers)
        base, deltas = self._encoded(known.images(chosen), number, accelerator)
        size = encoder.basis.norm(dim=0)
        error = encoder.coordinates(base, deltas) - known.coordinates[chosen].float()
        return (error.square() * size / size.mean()).mean()

    def _judged(
        self, coordinates: Tensor, number: int, numbers: torch.Generator, accelerator: Accelerator
    ) -> dict[str, Tensor]:
        """One update of the latent discriminator; its terms."""
        nets, settings = self.networks, self.adversary
        layers = torch.randint(coordinates.shape[1], (len(coordinates),), generator=numbers)
        fake = nets.discriminator.pooled(coordinates[range(len(coordinates)), layers], numbers)
        z = torch.randn(len(fake), self.network.z_dim, generator=numbers)
        real = nets.shortcut.space.coordinates(self.network.mapping(z))[range(len(fake)), layers]
        penalty = number % settings.every == 0
        found = terms(nets.discriminator, real, fake, penalty)
        weights = {"discriminator": 1.0, "r1": settings.r1 * settings.every}
        nets.descend("discriminator", {name: weights[name] * x for name, x in found.items()}, accelerator)
        return {"discriminator": found["discriminator"]}

    def export(self) -> None:
        """Write the moving average, in float16."""
        export(self.networks.average, self.result)

    @torch.no_grad()
    def held_out(self, count: int) -> tuple[Images, Images]:
        """Held-out photographs, and their reconstructions of the same size by the whole generator."""
        crops = self.crops[1]
        chosen = [i * len(crops) // count for i in range(min(count, len(crops)))]
        images = crops.images(chosen)[0].to(device())
        again = [self.network.render(self.networks.average(image[None])) for image in images]
        return images, torch.cat([losses.resize(x, images.shape[-1]) for x in again]).clamp(-1, 1)

    def sheets(self) -> dict[str, Image.Image]:
        """Rows of held-out photographs, each above a row of their reconstructions."""
        pairs = zip(*(x.split(8) for x in self.held_out(16)), strict=True)
        return {"": sheet(to_pil(torch.cat([row for pair in pairs for row in pair])), 8)}

    def metrics(self) -> dict[str, float]:
        """Mean squared error over whole crops, padding and all."""
        images, again = self.held_out(self.examples)
        return {"mse": float(losses.pixel(again, images).mean())}


def distortion(
    pictures: Images,
    targets: Images,
    counts: Float[Tensor, "n _ _"],
    weights: dict[str, float],
    focus: float,
    accelerator: Accelerator,
) -> dict[str, Tensor]:
    """The terms that compare pictures with photographs, each place as much as `counts` says."""
    side = pictures.shape[-1]
    counts = F.interpolate(counts[:, None], side)[:, 0] * losses.window(side, focus, pictures.device)
    counts = counts / counts.mean((1, 2), keepdim=True)
    found = {"pixel": ((pictures - targets).square().mean(1) * counts).mean()}
    if weights["perceptual"]:
        network = efficientnet_lite.load("lite0")
        with accelerator.autocast():
            seen = network.features(pictures.contiguous(memory_format=torch.channels_last))
            with torch.no_grad():
                wanted = network.features(targets.contiguous(memory_format=torch.channels_last))
        stages = [
            (_units(a) - _units(b)).square().sum(1) * F.adaptive_avg_pool2d(counts, a.shape[-1])
            for a, b in zip(seen, wanted, strict=True)
        ]
        found["perceptual"] = torch.stack([stage.mean() for stage in stages]).sum()
    if weights["identity"]:
        with accelerator.autocast():
            known, wanted = losses.descriptors(pictures), losses.descriptors(targets).detach()
        found["identity"] = losses.identity(known.float(), wanted.float()).mean()
    return found


def _units(maps: Tensor) -> Tensor:
    return F.normalize(maps.float(), dim=1)
