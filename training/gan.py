"""One adversarial update: a small StyleGAN against a discriminator, and samples matched with photographs.

Matching (implicit maximum likelihood, Li & Malik 2018): part of each batch are samples whose thumbnail was,
among the last few thousand, the nearest to one of the step's photographs; they are also drawn towards it.
Every photograph asks for a sample of its own, which an adversarial loss alone does not: one cat contents it.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

from copy import deepcopy
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images
from backends.networks.compact_stylegan import CompactStyleGAN
from training.augment import Augmentation, augment, draw
from training.discriminator import Discriminator, Maps
from training.losses import discriminator_terms, generator_terms, matching_terms, thumbnails

CHOICE = 32  # samples per photograph that must be remembered before any is matched


@dataclass
class Rates:
    """Learning rates (Adam) and weights of the terms."""

    generator: float = 4e-4
    coarse: float = 0.0  # of the layers that `frozen` names; 0 = they stay as they are
    discriminator: float = 6e-4
    frozen: int = 8  # mapping and layers up to this many pixels learn at the rate `coarse`
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "adversarial": 1.0,
            "features": 1.0,
            "thumbnail": 1.0,
            "real": 1.0,
            "fake": 1.0,
        }
    )
    matched: float = 0.5  # share of each batch that is matched with photographs
    memory: int = 2048  # samples remembered for matching
    average: float = 1500.0  # pictures after which a weight counts half in the moving average


class Memory(nn.Module):
    """The latest samples: their z and thumbnails, for matching. A ring; what was used is not used again."""

    def __init__(self, size: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("z", torch.zeros(size, dim))
        self.register_buffer(
            "thumbnails", torch.full((size, 768), 1e4)
        )  # empty places are far from everything
        self.register_buffer("place", torch.zeros((), dtype=torch.long))

    def add(self, z: Float[Tensor, "n dim"], images: Images) -> None:
        """Remember samples, in place of the oldest."""
        where = (self.place + torch.arange(len(z), device=z.device)) % len(self.z)
        self.z[where] = z
        self.thumbnails[where] = thumbnails(images.detach()).flatten(1).float()
        self.place.add_(len(z))

    def match(self, photographs: Images) -> Float[Tensor, "n dim"]:
        """For each photograph in turn the z of the nearest sample, which is then forgotten."""
        distances = torch.cdist(thumbnails(photographs).flatten(1), self.thumbnails)  # (n, size)
        chosen = []
        for row in distances:
            best = row.argmin()
            distances[:, best] = torch.inf
            self.thumbnails[best] = 1e4
            chosen.append(best)
        return self.z[torch.stack(chosen)].clone()


class Gan(nn.Module):
    """Everything a checkpoint holds: both networks, their optimizers, the moving average and the memory."""

    def __init__(
        self, generator: CompactStyleGAN, discriminator: Discriminator, coarse: set[str], rates: Rates
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.rates = generator, discriminator, rates
        self.average = deepcopy(generator).requires_grad_(False)
        self.memory = Memory(rates.memory, generator.mean.shape[0])
        for name, parameter in generator.named_parameters():
            parameter.requires_grad_(name not in coarse or (rates.coarse > 0 and not name.endswith("noise")))
        fine = [p for name, p in generator.named_parameters() if p.requires_grad and name not in coarse]
        slow = [p for name, p in generator.named_parameters() if p.requires_grad and name in coarse]
        groups = [{"params": fine, "lr": rates.generator}, {"params": slow, "lr": rates.coarse}]
        heads = [p for p in discriminator.parameters() if p.requires_grad]
        self.optimizers = {
            "generator": torch.optim.Adam([g for g in groups if g["params"]], betas=(0.0, 0.99)),
            "discriminator": torch.optim.Adam(heads, lr=rates.discriminator, betas=(0.0, 0.99)),
        }

    def update_average(self, pictures: int, seen: int) -> None:
        """Move the average towards the generator; it forgets faster at first, when the generator is poor."""
        half = min(self.rates.average, 0.25 * seen + 1)
        keep = 0.5 ** (pictures / half)
        for ours, theirs in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            if theirs.requires_grad:
                ours.lerp_(theirs.detach(), 1 - keep)


def step(
    gan: Gan, photographs: Images, numbers: torch.Generator, strength: Augmentation, accelerator: Accelerator
) -> dict[str, float]:
    """One update of both networks on one batch; returns the unweighted terms.

    Both players use the same samples and the same pass through the frozen features: half the price of two.
    """
    count = len(photographs)
    matched = int(count * gan.rates.matched)
    z = torch.randn(count, gan.memory.z.shape[1], generator=numbers).to(photographs)
    if matched and gan.memory.place >= CHOICE * matched:
        z[:matched] = gan.memory.match(photographs[:matched])
    else:
        matched = 0
    changes = draw(count, numbers)
    with accelerator.autocast():
        images = gan.generator(z)
        maps = gan.discriminator.maps(augment(images, changes, strength))
        with torch.no_grad():
            targets = gan.discriminator.maps(augment(photographs, changes, strength))
    gan.memory.add(z, images)
    terms = _discriminator_step(gan, targets, [x.detach() for x in maps], accelerator)
    with accelerator.autocast():
        losses = generator_terms(gan.discriminator.logits(maps))
        if matched:
            pairs = ([x[:matched] for x in maps], [x[:matched] for x in targets])
            losses |= matching_terms(*pairs, images[:matched], photographs[:matched])
    _descend(gan, "generator", losses, accelerator)
    return {name: term.item() for name, term in (terms | losses).items()}


def _discriminator_step(gan: Gan, real: Maps, fake: Maps, accelerator: Accelerator) -> dict[str, Tensor]:
    with accelerator.autocast():
        terms = discriminator_terms(gan.discriminator.logits(real), gan.discriminator.logits(fake))
    _descend(gan, "discriminator", terms, accelerator)
    return terms


def _descend(gan: Gan, player: str, terms: dict[str, Tensor], accelerator: Accelerator) -> None:
    """One optimizer step on the weighted terms, with gradients averaged over all processes."""
    optimizer = gan.optimizers[player]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    loss = torch.stack([gan.rates.weights[name] * term for name, term in terms.items()]).sum()
    gradients = torch.autograd.grad(loss, parameters)
    flat = torch.cat([g.flatten().float() for g in gradients])
    flat = accelerator.reduce(flat, "mean")
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)
    optimizer.step()
