"""The networks of adversarial training: starting points, optimizers, moving averages, exported weights."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backends import Images
from backends.cache import whole
from backends.networks import compact_stylegan
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.linear_encoder import LinearEncoder
from config import ConfigError, resolve
from training import _transfer
from training._discriminator import Discriminator, Pixels, Projected

if TYPE_CHECKING:
    from training.gan import GAN

STATE, WEIGHTS, ENCODER = "state.pt", "weights.safetensors", "encoder.safetensors"  # files of a run


@dataclass
class Rates:
    """Learning rates (Adam), and how often photographs and averages count."""

    warmup: float = 1e-3
    generator: float = 2.5e-4
    coarse: float = 0.0  # of the layers that `frozen` names; 0 = they stay as they are
    discriminator: float = 6e-4
    frozen: int = 0  # mapping and layers up to this many pixels learn at the rate `coarse`
    encoded: float = 0.5  # share of each batch that are reconstructions of photographs
    average: float = 1500.0  # pictures after which a weight counts half in the moving average


class Optimizers(dict[str, torch.optim.Adam]):
    """Optimizers by name, as one part of a checkpoint."""

    def state_dict(self) -> dict[str, Any]:
        return {name: optimizer.state_dict() for name, optimizer in self.items()}

    def load_state_dict(self, state_dict: dict[str, Any], /) -> None:
        """Learning rates stay those of the settings, should they have been changed meanwhile."""
        states = {_today(name): state for name, state in state_dict.items()}
        for name, optimizer in self.items():
            rates = [group["full"] for group in optimizer.param_groups]
            optimizer.load_state_dict(states[name])
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["full"] = rate


def _today(name: str) -> str:
    """Older checkpoints call the warmup rehearsal."""
    return name.replace("rehearsal", "warmup")


class Networks(nn.Module):
    """The networks, the moving average of the generator, and their optimizers."""

    def __init__(
        self,
        generator: CompactStyleGAN,
        discriminator: Discriminator,
        encoder: LinearEncoder,
        coarse: set[str],
        rates: Rates,
        losses: dict[str, float],
    ) -> None:
        super().__init__()
        self.generator, self.discriminator, self.encoder = generator, discriminator, encoder
        self.rates, self.losses = rates, losses
        self.average = deepcopy(generator).requires_grad_(False)
        for name, parameter in generator.named_parameters():
            parameter.requires_grad_(name not in coarse or (rates.coarse > 0 and not name.endswith("noise")))
        fine = [p for name, p in generator.named_parameters() if p.requires_grad and name not in coarse]
        slow = [p for name, p in generator.named_parameters() if p.requires_grad and name in coarse]
        heads = [p for p in discriminator.parameters() if p.requires_grad]
        self.optimizers = Optimizers(
            warmup=_adam([(fine, rates.warmup), (slow, rates.coarse)], momentum=0.9),
            generator=_adam([(fine, rates.generator), (slow, rates.coarse)]),
            discriminator=_adam([(heads, rates.discriminator)]),
        )
        self.lengths = nn.ParameterDict(  # running mean of the length of each optimizer's gradients
            {name: nn.Parameter(torch.zeros(()), requires_grad=False) for name in self.optimizers}
        )

    def load_state_dict(self, state_dict: dict[str, Any], *args: Any, **options: Any) -> object:
        return super().load_state_dict({_today(k): v for k, v in state_dict.items()}, *args, **options)

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


def generator(settings: "GAN") -> CompactStyleGAN:
    """The generator to begin with; of a run that goes on, one of the same shape."""
    folder = resolve(settings.folder)
    if (folder / STATE).is_file() and (folder / WEIGHTS).is_file():
        return compact_stylegan.from_state(load_file(folder / WEIGHTS)).train()
    channels = tuple(settings.channels)
    small = len(channels) <= compact_stylegan.LAID  # too small for eigenpictures
    eigenpictures = 0 if small else settings.eigenpictures
    if settings.start == "faces":
        return _transfer.from_faces(channels, eigenpictures, settings.dense, settings.smooth)
    if settings.start == "scratch":
        return _transfer.scratch(channels, eigenpictures, settings.dense, settings.smooth)
    parent = resolve(settings.parent)
    file = parent / WEIGHTS if parent.is_dir() else parent
    if not file.is_file():
        raise ConfigError(
            f"parent: no weights there; give a .safetensors file or the folder of a run with {WEIGHTS}"
        )
    network = compact_stylegan.from_state(load_file(file)).train()
    return _transfer.grown(network, channels[-1], settings.dense > 0) if settings.start == "grow" else network


def inherit(settings: "GAN", discriminator: Discriminator, encoder: LinearEncoder) -> bool:
    """Start both from the parent run's: new ones would have to catch up first. False: there is none."""
    file = resolve(settings.parent) / STATE
    if settings.start not in ("grow", "checkpoint") or not file.is_file():
        return False
    state = torch.load(file, map_location="cpu", weights_only=True)["gan"]
    if settings.discriminator == "projected":
        ours = {name: discriminator.state_dict()[name] for name in ("spread", "contrast")}
        discriminator.load_state_dict(_below("discriminator.", state) | ours)
    encoder.load_state_dict(_below("encoder.", state))
    return True


def _below(prefix: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def discriminator(settings: "GAN", size: int) -> Discriminator:
    return Projected(settings.side) if settings.discriminator == "projected" else Pixels(size)


def export(network: CompactStyleGAN, file: Path) -> None:
    """Write weights as generators read them: float16 safetensors."""
    network.measure_mean()
    state = {name: value.half().contiguous() for name, value in network.state_dict().items()}
    with whole(file) as partial:
        save_file(state, partial, metadata={"network": "compact_stylegan"})


def export_encoder(encoder: LinearEncoder, file: Path) -> None:
    """Write what the inverter `components` reads: float16 safetensors, without rows of zeros."""
    state = {name: value.half().contiguous() for name, value in encoder.state_dict().items()}
    kept = int((encoder.deviation < 1).sum())
    with whole(file) as partial:
        save_file(state | {"basis": state["basis"][:kept].contiguous()}, partial)


@torch.no_grad()
def samples(network: CompactStyleGAN, seeds: list[int], truncation: float = 1.0, batch: int = 16) -> Images:
    """One picture per seed; the same seeds always give the same latents."""
    dim = network.mean.shape[0]
    z = torch.stack([torch.randn(dim, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    w = network.mapping(z.to(network.mean))
    w = network.mean + truncation * (w - network.mean)
    parts = [network.synthesize(part[:, None].repeat(1, network.layers, 1)) for part in w.split(batch)]
    return torch.cat(parts).float()
