"""One adversarial update: a small StyleGAN against a discriminator, and photographs that it draws again.

Part of each batch are photographs that went through the encoder (`training/encoder.py`) and shall come back;
the others are samples. The discriminator judges both.
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
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from backends import Images
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.linear_encoder import LinearEncoder
from training.augment import Augmentation, augment, draw
from training.discriminator import Discriminator, Maps
from training.losses import discriminator_terms, generator_terms, reconstruction_terms

WARMING = 25  # steps in which an optimizer's learning rates rise
LONGEST = 2.0  # gradient that is used whole, in mean lengths of late; a longer one is shortened to that
LATE = 0.05  # share of the newest gradient in that mean


@dataclass
class Rates:
    """Learning rates (Adam) and weights of the terms."""

    rehearsal: float = 1e-3
    generator: float = 2.5e-4
    coarse: float = 0.0  # of the layers that `frozen` names; 0 = they stay as they are
    discriminator: float = 6e-4
    frozen: int = 0  # mapping and layers up to this many pixels learn at the rate `coarse`
    weights: dict[str, float] = field(
        default_factory=lambda: {
            "adversarial": 1.0,
            "features": 1.0,
            "thumbnail": 1.0,
            "pixels": 1.0,
            "real": 1.0,
            "fake": 1.0,
        }
    )
    encoded: float = 0.5  # share of each batch that are photographs drawn again
    average: float = 1500.0  # pictures after which a weight counts half in the moving average


class Gan(nn.Module):
    """Everything a checkpoint holds: the networks, their optimizers, and the moving averages."""

    def __init__(
        self,
        generator: CompactStyleGAN,
        discriminator: Discriminator,
        encoder: LinearEncoder,
        coarse: set[str],
        rates: Rates,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.encoder = generator, discriminator, encoder
        self.rates = rates
        self.average = deepcopy(generator).requires_grad_(False)
        for name, parameter in generator.named_parameters():
            parameter.requires_grad_(name not in coarse or (rates.coarse > 0 and not name.endswith("noise")))
        fine = [p for name, p in generator.named_parameters() if p.requires_grad and name not in coarse]
        slow = [p for name, p in generator.named_parameters() if p.requires_grad and name in coarse]
        heads = [p for p in discriminator.parameters() if p.requires_grad]
        self.optimizers = {
            "rehearsal": _adam([(fine, rates.rehearsal), (slow, rates.coarse)], momentum=0.9),
            "generator": _adam([(fine, rates.generator), (slow, rates.coarse)]),
            "discriminator": _adam([(heads, rates.discriminator)]),
        }
        self.lengths = nn.ParameterDict(  # of each one's gradients, of late
            {name: nn.Parameter(torch.zeros(()), requires_grad=False) for name in self.optimizers}
        )

    def update_average(self, pictures: int, seen: int) -> None:
        """Move the averages towards the networks; they forget faster at first, when these are poor."""
        half = min(self.rates.average, 0.25 * seen + 1)
        keep = 0.5 ** (pictures / half)
        pairs = zip(self.average.parameters(), self.generator.parameters(), strict=True)
        moving = [(ours, theirs.detach()) for ours, theirs in pairs if theirs.requires_grad]
        torch._foreach_lerp_(*map(list, zip(*moving, strict=True)), 1 - keep)  # type: ignore[arg-type]


def _adam(groups: list[tuple[list[nn.Parameter], float]], momentum: float = 0.0) -> torch.optim.Adam:
    """Learning rates rise in the first steps, when every step of Adam is as long as it may be."""
    listed = [{"params": parameters, "lr": rate, "full": rate} for parameters, rate in groups if parameters]
    return torch.optim.Adam(listed, betas=(momentum, 0.99), fused=True)


def step(
    gan: Gan, photographs: Images, numbers: torch.Generator, strength: Augmentation, accelerator: Accelerator
) -> dict[str, float]:
    """One update of both networks on one batch; returns the unweighted terms.

    Both players use the same samples and the same pass through the frozen features: half the price of two.
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
        losses = generator_terms(gan.discriminator.logits(maps))
        if encoded:
            pairs = ([x[:encoded] for x in maps], [x[:encoded] for x in targets])
            losses |= reconstruction_terms(*pairs, images[:encoded], photographs[:encoded])
    _descend(gan, "generator", losses, accelerator)
    return {name: term.item() for name, term in (terms | losses).items()}


def rehearse(
    gan: Gan, photographs: Images, numbers: torch.Generator, accelerator: Accelerator
) -> dict[str, float]:
    """One update of the generator alone: the photographs shall come back, pixel by pixel.

    Blurred, but each with its own pose, colours and background, after a few epochs at a quarter of the price.
    """
    with accelerator.autocast():
        images = gan.generator(gan.encoder.draw(photographs, numbers))
        losses = {"pixels": F.mse_loss(images, photographs)}
    _descend(gan, "rehearsal", losses, accelerator)
    return {name: term.item() for name, term in losses.items()}


def _discriminator_step(gan: Gan, real: Maps, fake: Maps, accelerator: Accelerator) -> dict[str, Tensor]:
    with accelerator.autocast():
        terms = discriminator_terms(gan.discriminator.logits(real), gan.discriminator.logits(fake))
    _descend(gan, "discriminator", terms, accelerator)
    return terms


def _shortened(gradient: Tensor, usual: Tensor) -> Tensor:
    """One wild picture must not throw a network off: nothing in it is normalised, and errors multiply."""
    length = gradient.norm()
    if usual == 0:
        usual.copy_(length)
    limit = LONGEST * usual
    usual.lerp_(length.clamp(max=limit), LATE)
    return gradient.mul_((limit / length.clamp(min=1e-12)).clamp(max=1))


def _descend(gan: Gan, player: str, terms: dict[str, Tensor], accelerator: Accelerator) -> None:
    """One optimizer step on the weighted terms, with gradients averaged over all processes."""
    optimizer = gan.optimizers[player]
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    loss = torch.stack([gan.rates.weights[name] * term for name, term in terms.items()]).sum()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
    flat = torch.cat([g.flatten().float() for g in gradients])
    flat = _shortened(accelerator.reduce(flat, "mean"), gan.lengths[player])
    for group in optimizer.param_groups:
        taken = optimizer.state[group["params"][0]].get("step", 0)  # steps of this optimizer, so far
        group["lr"] = group["full"] * min(1.0, (float(taken) + 1) / WARMING)
    for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        parameter.grad = gradient.view_as(parameter)
    optimizer.step()
