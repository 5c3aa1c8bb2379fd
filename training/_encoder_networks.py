"""What the trainer of encoders learns, how it starts, and how an update is made."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from torch import Tensor, nn

from backends import device
from backends.cache import whole
from backends.generators import Generator
from backends.networks.efficientnet_lite import EfficientNetLite
from backends.networks.lite_encoder import LiteEncoder
from config import resolve
from training import _encoder_start
from training._crops import Crops
from training._encoder_start import Known
from training._latent_discriminator import LatentDiscriminator
from training._networks import Optimizers
from training._shortcut import Shortcut

if TYPE_CHECKING:
    from training.encoder import Encoder

RISE = 50  # steps in which learning rates rise
LONGEST = 3.0  # longer gradients are clipped


@dataclass
class Rates:
    """Learning rates (Adam). The number of inputs of a layer says how far a step moves its outputs."""

    trunk: float = 0.0  # 0 = the trunk stays as ImageNet made it; some 5e-5 once the heads are settled
    thawed: int = 3  # first stage of the trunk that learns; those before cost most and have least to learn
    base: float = 3e-5  # of the layer that tells w
    wide: float = 1e-4  # of hidden layers
    heads: float = 4e-4  # of all others
    average: float = 0.997  # of the moving average that is exported


class Networks(nn.Module):
    """Encoder, its moving average, latent discriminator, and the shortcut to pictures."""

    def __init__(
        self,
        encoder: LiteEncoder,
        discriminator: LatentDiscriminator,
        shortcut: Shortcut,
        pairs: Known,
        settings: "Encoder",
    ) -> None:
        super().__init__()
        self.encoder, self.shortcut, self.pairs, self.rates = encoder, shortcut, pairs, settings.rates
        self.average = deepcopy(encoder).requires_grad_(False)
        self.discriminator = discriminator
        self.optimizers = Optimizers(
            encoder=torch.optim.Adam(self._groups(), betas=(0.9, 0.99)),
            discriminator=torch.optim.Adam(
                [_group(self.discriminator.parameters(), settings.adversary.rate)]
            ),
        )

    def _groups(self) -> list[dict[str, Any]]:
        encoder, rates = self.encoder, self.rates
        trunk = _thawed(encoder.trunk, rates.thawed) if rates.trunk else []
        wide = [p for layer in encoder.hidden for p in layer.parameters()]
        special = {id(p) for p in (*encoder.trunk.parameters(), *encoder.base.parameters(), *wide)}
        heads = [p for p in encoder.parameters() if id(p) not in special and p.requires_grad]
        groups = [(list(encoder.base.parameters()), rates.base), (wide, rates.wide), (heads, rates.heads)]
        groups += [(trunk, rates.trunk)] if trunk else []
        return [_group(parameters, rate) for parameters, rate in groups]

    def descend(self, name: str, weighted: dict[str, Tensor], accelerator: Accelerator) -> None:
        """One update of `encoder` or `discriminator`, with gradients averaged over all processes."""
        optimizer = self.optimizers[name]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        loss = torch.stack(list(weighted.values())).sum()
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)
        flat: Tensor = accelerator.reduce(torch.cat([g.flatten() for g in gradients]), "mean")  # type: ignore[assignment]
        flat = flat * (LONGEST / torch.linalg.vector_norm(flat).clamp(min=1e-12)).clamp(max=1)
        for group in optimizer.param_groups:
            taken = float(optimizer.state[group["params"][0]].get("step", 0))
            group["lr"] = group["full"] * min(1.0, (taken + 1) / RISE)
        for parameter, gradient in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
            parameter.grad = gradient.view_as(parameter)
        optimizer.step()

    @torch.no_grad()
    def update_average(self, number: int) -> None:
        """After step `number`: a short memory at first, as the start is worth little."""
        kept = min(self.rates.average, (number + 1) / (number + 20))
        for old, new in zip(self.average.parameters(), self.encoder.parameters(), strict=True):
            old.lerp_(new, 1 - kept)


def _group(parameters: Iterable[nn.Parameter], rate: float) -> dict[str, Any]:
    return {"params": list(parameters), "lr": rate, "full": rate}


def _thawed(trunk: EfficientNetLite, first: int) -> list[nn.Parameter]:
    """Lets the stages from `first` on learn; returns what does.

    Strided depthwise convolutions do not: their gradients in bfloat16 would take most of the time.
    """
    for stage in list(trunk.stages)[first:]:
        stage.requires_grad_(True)
        for block in stage:  # type: ignore[attr-defined]
            block.depthwise.requires_grad_(block.depthwise.stride == 1)
    return [p for p in trunk.parameters() if p.requires_grad]


def prepared(settings: "Encoder", generator: Generator, crops: Crops) -> Networks:
    """The networks at the beginning of a run; fitted in closed form, unless a checkpoint has them."""
    space = _encoder_start.space(generator)
    layer = generator.cut_layer if settings.cut is None else settings.cut
    rank = min(settings.rank, generator.dim)
    encoder = LiteEncoder.new(generator.layers, generator.dim, rank, settings.backbone, settings.seed)
    discriminator = LatentDiscriminator(encoder.dim, settings.adversary)
    encoder.mean.copy_(space.mean.expand(generator.layers, -1))
    encoder.basis.copy_(space.basis)
    shortcut = Shortcut(generator, space, layer, settings.side)
    file = resolve(settings.folder) / "pairs.safetensors"
    pairs = _encoder_start.pairs(generator, space, settings.pairs, settings.seed, file)
    if not settings.checkpoint.is_file():
        _encoder_start.fit_shortcut(shortcut, pairs)
        _encoder_start.fit_encoder(encoder, pairs, crops)
    return Networks(encoder, discriminator, shortcut, pairs, settings).to(device())


def export(encoder: LiteEncoder, file: Path) -> None:
    """Weights in float16."""
    state = {key: value.half().contiguous() for key, value in encoder.state_dict().items()}
    with whole(file) as partial:
        save_file(state, partial)
