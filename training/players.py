"""Where the two players come from, and where the generator goes: starting points and exported weights."""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from backends.cache import whole
from backends.networks import compact_stylegan
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.linear_encoder import LinearEncoder
from config import ConfigError
from training import transfer
from training.discriminator import Discriminator, Pixels, Projected
from training.settings import Run

STATE, WEIGHTS, ENCODER = "state.pt", "weights.safetensors", "encoder.safetensors"  # files of a run


def generator(settings: Run) -> CompactStyleGAN:
    """The generator to begin with; of a run that goes on, one of the same shape."""
    folder = Path(settings.folder)
    if (folder / STATE).is_file() and (folder / WEIGHTS).is_file():
        return compact_stylegan.from_state(load_file(folder / WEIGHTS)).train()
    channels = tuple(settings.channels)
    layout = settings.layout if len(channels) > compact_stylegan.LAID else 0  # smaller pictures have none
    if settings.start == "faces":
        return transfer.from_faces(channels, layout, settings.dense, settings.smooth)
    if settings.start == "scratch":
        return transfer.scratch(channels, layout, settings.dense, settings.smooth)
    parent = Path(settings.parent)
    file = parent / WEIGHTS if parent.is_dir() else parent
    if not file.is_file():
        raise ConfigError(
            f"parent: no weights there; give a .safetensors file or the folder of a run with {WEIGHTS}"
        )
    small = compact_stylegan.from_state(load_file(file)).train()
    return transfer.grown(small, channels[-1], settings.dense > 0) if settings.start == "grow" else small


def inherit(settings: Run, discriminator: Discriminator, encoder: LinearEncoder) -> bool:
    """Both go on from where the parent run's were: new ones would first have to catch up.

    False: there is no such run.
    """
    file = Path(settings.parent) / STATE
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


def discriminator(settings: Run, size: int) -> Discriminator:
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
    told = int((encoder.deviation < 1).sum())
    with whole(file) as partial:
        save_file(state | {"basis": state["basis"][:told].contiguous()}, partial)
