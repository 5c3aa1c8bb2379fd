"""A small StyleGAN on your own photographs: adversarial training beside the reconstruction of photographs.

    python cli.py train configs/training/cats64.yaml data.path=photographs

Part of each batch are photographs that went through the encoder (`training/_pca_encoder.py`) and shall be
reconstructed; the others are samples. The discriminator judges both.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends import Images, dataset, device, losses
from backends.dataset import Data, Photographs
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.linear_encoder import LinearEncoder
from backends.photos import to_pil
from config import resolve
from evaluation.metrics import Measured, figures, measure
from training import Part, Trainer, _eigenpictures, _networks, _pca_encoder, _transfer
from training._augment import Augmentation, augment, draw
from training._discriminator import Maps, discriminator_terms, generator_terms, reconstruction_terms
from training._networks import Networks, Rates, samples
from video import sheet

CALIBRATION = 64  # photographs from which the discriminator's constants are set
RISE = 25  # steps in which an optimizer's learning rates rise
LONGEST = 2.0  # longer gradients are clipped to this, in running means of their length
LATE = 0.05  # weight of the newest gradient in that running mean
TERMS = ("adversarial", "perceptual", "thumbnail", "pixel", "real", "fake")


@dataclass(kw_only=True)
class GAN(Trainer):
    """Writes what `backends/generators/compact.py` reads, and the encoder of its inverter `components`."""

    data: Data
    start: Literal["faces", "scratch", "grow", "checkpoint"] = "faces"
    parent: str = ""  # folder of a run, or weights (.safetensors), that `grow` and `checkpoint` start from
    channels: list[int] = field(default_factory=lambda: [512, 512, 512, 256])  # at 4, 8, ... half the size
    dense: int = 0  # of the last blocks, those whose convolutions are not separable
    smooth: bool = True  # a low-pass filter after every inverse Haar transform: no grid
    eigenpictures: int = 96  # of the photographs, which a new generator starts with; 0 = none
    discriminator: Literal["projected", "pixels"] = "projected"
    side: int = 96  # of the pictures that the discriminator's feature network sees, pixels
    batch: int = 16  # pictures a step, of each process
    steps: int = 2000
    warmup: int = 0  # the first steps, which only learn to reconstruct
    nats: float = 40.0  # information that z has about a photograph; more = closer pictures, emptier samples
    seed: int = 0
    photographs: int = 0  # train on the first few only: overfitting must be easy; 0 = all
    samples: int = 512  # for the metrics in the log
    reference: int = 1000  # photographs that they are compared with; 0 = all
    rates: Rates = field(default_factory=Rates)
    augmentation: Augmentation = field(default_factory=Augmentation)
    losses: dict[str, float] = field(default_factory=lambda: dict.fromkeys(TERMS, 1.0))

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.start in ("grow", "checkpoint") and not self.parent:
            raise ValueError(f"start: {self.start} needs `parent`, the weights to start from")

    @property
    def result(self) -> Path:
        return resolve(self.folder) / _networks.WEIGHTS

    @cached_property
    def network(self) -> CompactStyleGAN:
        """The generator to begin with. Raises ConfigError."""
        torch.manual_seed(self.seed)
        return _networks.generator(self)

    @cached_property
    def pictures(self) -> tuple[Photographs, Photographs]:
        """The photographs to train on, and the held-out ones. Raises ConfigError."""
        train, held_out = dataset.load(self.data, self.network.size)
        count = self.photographs or len(train)
        return replace(train, pixels=train.pixels[:count], names=train.names[:count]), held_out

    @cached_property
    def networks(self) -> Networks:
        """All networks, at the beginning of the run. Raises ConfigError."""
        network, (photographs, _) = self.network, self.pictures
        discriminator = _networks.discriminator(self, network.size)
        examples = photographs.images(dataset.batch(len(photographs), self.seed, 0, CALIBRATION))
        discriminator.calibrate(examples)
        encoder = LinearEncoder(network.mean.shape[0])
        resumed = self.checkpoint.is_file()  # then all of this comes from there
        if not resumed and not _networks.inherit(self, discriminator, encoder):
            _pca_encoder.fit(encoder, photographs.batches(), self.nats)
            if self.start in ("faces", "scratch") and network.eigenpictures is not None:
                _eigenpictures.fit(network, encoder, examples)
        coarse = _transfer.coarse_names(network, self.rates.frozen)
        network.to(memory_format=torch.channels_last)
        return Networks(network, discriminator, encoder, coarse, self.rates, self.losses).to(device())

    def parts(self) -> dict[str, Part]:
        return {"gan": self.networks, "optimizers": self.networks.optimizers}

    def step(self, number: int, accelerator: Accelerator) -> dict[str, float]:
        rank, ranks = accelerator.process_index, accelerator.num_processes
        numbers = torch.Generator().manual_seed((self.seed * 1_000_003 + number) * 64 + rank)
        chosen = dataset.batch(len(self.pictures[0]), self.seed, number, self.batch, rank, ranks)
        photographs = self.pictures[0].images(chosen).to(accelerator.device)
        flipped = torch.rand(len(chosen), generator=numbers) < 0.5
        photographs[flipped] = photographs[flipped].flip(3)
        if number < self.warmup:
            terms = warmup(self.networks, photographs, numbers, accelerator)
        else:
            terms = step(self.networks, photographs, numbers, self.augmentation, accelerator)
        self.networks.update_average(self.batch * ranks, (number + 1) * self.batch * ranks)
        return terms

    def export(self) -> None:
        """Write the moving average and the encoder, in float16."""
        _networks.export(self.networks.average, self.result)
        _networks.export_encoder(self.networks.encoder, resolve(self.folder) / _networks.ENCODER)

    def sheets(self) -> dict[str, Image.Image]:
        """32 samples at truncation 1, always of the same seeds; reconstructions of held-out photographs."""
        found = {"": sheet(to_pil(samples(self.networks.average, list(range(32)))), 8)}
        if len(self.pictures[1]) and self.rates.encoded:
            found["_held_out"] = sheet(to_pil(self.reconstructions()), 8)
        return found

    @torch.no_grad()
    def reconstructions(self, count: int = 16) -> Images:
        """Rows of eight held-out photographs, each above a row of their reconstructions."""
        held_out = self.pictures[1]
        photographs = held_out.images(list(range(min(count, len(held_out))))).to(device())
        z = self.networks.encoder.draw(photographs, torch.Generator().manual_seed(0))
        pairs = zip(photographs.split(8), self.networks.average(z).float().split(8), strict=True)
        return torch.cat([row for pair in pairs for row in pair])

    def metrics(self) -> dict[str, float]:
        """The figures of merit of the moving average."""
        images = samples(self.networks.average, list(range(10_000, 10_000 + self.samples)))
        return figures(measure(images.split(32)), self.real)

    @property
    def real(self) -> Measured:
        """The training photographs, measured; kept in the run's folder because it takes minutes."""
        file = resolve(self.folder) / f"photographs{self.network.size}.safetensors"
        if not file.is_file():
            save_file(vars(measure(self.pictures[0].batches(self.reference))), file)
        return Measured(**load_file(file))


def step(
    gan: Networks,
    photographs: Images,
    numbers: torch.Generator,
    strength: Augmentation,
    accelerator: Accelerator,
) -> dict[str, float]:
    """One update of both networks on one batch; returns the unweighted terms.

    Both use the same samples and the same pass through the frozen features: half the price of two.
    """
    count = len(photographs)
    encoded = int(count * gan.rates.encoded)  # the first ones
    with accelerator.autocast():
        again = gan.encoder.draw(photographs[:encoded], numbers)
        new = torch.randn(count - encoded, again.shape[1], generator=numbers).to(photographs)
        changes = draw(count, numbers)
        images = gan.generator(torch.cat([again, new]))
        maps = gan.discriminator.maps(augment(images, changes, strength))
        with torch.no_grad():
            targets = gan.discriminator.maps(augment(photographs, changes, strength))
    terms = _discriminator_step(gan, targets, [x.detach() for x in maps], accelerator)
    with accelerator.autocast():
        wanted = generator_terms(gan.discriminator.logits(maps))
        if encoded:
            pairs = ([x[:encoded] for x in maps], [x[:encoded] for x in targets])
            wanted |= reconstruction_terms(*pairs, images[:encoded], photographs[:encoded])
    _descend(gan, "generator", wanted, accelerator)
    return {name: term.item() for name, term in (terms | wanted).items()}


def warmup(
    gan: Networks, photographs: Images, numbers: torch.Generator, accelerator: Accelerator
) -> dict[str, float]:
    """One update of the generator alone, on reconstruction pixel by pixel; returns the unweighted term.

    After a few epochs, at a quarter of the price, pictures are blurred, but each has the pose, colours and
    background of its photograph.
    """
    with accelerator.autocast():
        images = gan.generator(gan.encoder.draw(photographs, numbers))
        terms = {"pixel": losses.pixel(images.float(), photographs).mean()}
    _descend(gan, "warmup", terms, accelerator)
    return {name: term.item() for name, term in terms.items()}


def _discriminator_step(gan: Networks, real: Maps, fake: Maps, accelerator: Accelerator) -> dict[str, Tensor]:
    with accelerator.autocast():
        terms = discriminator_terms(gan.discriminator.logits(real), gan.discriminator.logits(fake))
    _descend(gan, "discriminator", terms, accelerator)
    return terms


def _shortened(gradient: Tensor, usual: Tensor) -> Tensor:
    """Clip a gradient that is much longer than usual, and update `usual`, the running mean of its length.

    One outlier would wreck the generator, which has no normalisation to contain it.
    """
    length = gradient.norm()
    if usual == 0:
        usual.copy_(length)
    limit = LONGEST * usual
    usual.lerp_(length.clamp(max=limit), LATE)
    return gradient.mul_((limit / length.clamp(min=1e-12)).clamp(max=1))


def _descend(gan: Networks, name: str, terms: dict[str, Tensor], accelerator: Accelerator) -> None:
    """One optimizer step on the weighted terms, with gradients averaged over all processes."""
    optimizer = gan.optimizers[name]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    loss = torch.stack([gan.losses[key] * term for key, term in terms.items()]).sum()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    flat = torch.cat([g.flatten().float() for g in gradients])
    flat = _shortened(accelerator.reduce(flat, "mean"), gan.lengths[name])
    for group in optimizer.param_groups:
        taken = optimizer.state[group["params"][0]].get("step", 0)  # steps of this optimizer, so far
        group["lr"] = group["full"] * min(1.0, (float(taken) + 1) / RISE)
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)
    optimizer.step()
