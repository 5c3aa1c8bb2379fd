"""What formats of StyleGAN have in common: raw weights in, the state of our network out.

Raw weights have our names, and equalised learning rates are not yet applied: `mapping.{i}`, `constant`,
`convs.{j}` with `weight`, `bias`, `style.*` and `noise`, and `mean`, the average of W, if there is one.
"""

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.checkpoints.formats import Format, Keys, State, renamed
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series
from backends.networks.stylegan2 import StyleGAN2

LEARNING_RATE = 0.01  # of the mapping, relative; the same in all public files
GAIN = math.sqrt(2)
FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
SAMPLES = 10_000  # that a mean is estimated with, as e4e does
WIDEST = 10_240  # numbers between layers of a mapping; IDInvert's has 7,168 in the end
CONDITIONAL = "the network is conditional (it has a label input); only unconditional ones are read"


class StyleGANFormat(Format):
    """A family of networks assembles raw weights; a format of it says what they are called."""

    network: ClassVar[Any]  # class of our network
    colours: ClassVar[int] = 0  # layers of W+ that only colours read
    filters: ClassVar[tuple[str, ...]] = ()  # ends of the keys of resampling filters, which must be 1-3-3-1
    keys: ClassVar[Keys]

    def raw(self, state: State) -> State:
        """The raw weights. Raises CheckpointError for what cannot be right."""
        raw = renamed(state, self.keys)
        self.mend(raw, state)
        for key in [key for key in state if key.endswith(self.filters) and not state[key].is_meta]:
            kernel = state[key].float().squeeze()
            if kernel.shape != (4, 4) or not torch.allclose(kernel / kernel.sum(), FILTER, atol=1e-4):
                raise CheckpointError(f"the resampling filter {key} is not the usual 1-3-3-1")
        return raw

    @abstractmethod
    def mend(self, raw: State, state: State) -> None:
        """Changes what has our names but not yet our form. Raises CheckpointError for what is not read."""

    @abstractmethod
    def assemble(self, raw: State) -> dict[str, Tensor]:
        """The canonical state: gains and learning rates go into the weights."""

    def facts(self, state: State) -> dict[str, Any]:
        raw = self.raw(state)
        layers, dim = shape(raw, self.colours)
        own = raw[series(raw, "mapping.{}.weight")[-1]].shape[0] > dim
        note = "one w per layer (IDInvert)" if own else ""
        return {"size": 2 << layers // 2, "layers": layers, "dim": dim, "note": note}

    def translate(self, state: State) -> dict[str, Tensor]:
        raw = self.raw(state)
        layers, dim = shape(raw, self.colours)
        made = self.assemble(raw)
        average = raw["mean"] if "mean" in raw else centre(made)
        if average.numel() not in (dim, layers * dim):
            raise CheckpointError(f"the mean of W has shape {tuple(average.shape)}, the styles {dim} numbers")
        made["mean"] = average.reshape(-1, dim)
        try:
            self.network.load({key: value.to("meta") for key, value in made.items()})
        except (KeyError, IndexError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"its parts do not fit each other: {reason}") from error
        return made


class StyleGAN2Format(StyleGANFormat):
    """A raw `style.bias` includes the one that some formats add at run time, weights of upsampling layers are
    meant for conv_transpose2d, `convs.{j}.strength` is that of the noise, `rgbs.{k}` are the colour layers.
    """

    family = "StyleGAN2"
    plugin = "generators/stylegan2"
    assumed = "mapping learning rate 0.01, leaky ReLU of slope 0.2, demodulation, no clamping of activations"
    network = StyleGAN2
    colours = 1
    filters = (".kernel", "resample_filter")

    def assemble(self, raw: State) -> dict[str, Tensor]:
        constant = raw["constant"]
        state = {"constant": constant.reshape(constant.shape[-3:])} | mapping(raw, GAIN * LEARNING_RATE)
        for key in [*series(raw, "convs.{}.weight"), *series(raw, "rgbs.{}.weight")]:
            name = key.removesuffix(".weight")
            state[key] = raw[key] / math.sqrt(raw[key][0].numel())
            state[f"{name}.bias"] = raw[f"{name}.bias"].reshape(-1)
            state |= dense(raw, f"{name}.style")
            if name.startswith("convs"):
                state[f"{name}.strength"] = raw[f"{name}.strength"].reshape(())
                state[f"{name}.noise"] = raw[f"{name}.noise"].reshape(raw[f"{name}.noise"].shape[-2:])
            else:
                state[key] = state[key][:, :, 0, 0]
        return state


def shape(raw: State, colours: int = 0) -> tuple[int, int]:
    """Layers of W+, and numbers in each. Raises CheckpointError when the mapping has others."""
    styles, keys = series(raw, "convs.{}.style.weight"), series(raw, "mapping.{}.weight")
    layers, dim = len(styles) + colours, raw["convs.0.style.weight"].shape[1]
    sizes = [tuple(raw[key].shape) for key in keys]
    if not 4 <= layers <= 20 or layers % 2:
        raise CheckpointError(f"{len(styles)} layers with a style; there must be two for each resolution")
    if not sizes or any(len(size) != 2 for size in sizes) or any(a[0] != b[1] for a, b in pairwise(sizes)):
        raise CheckpointError(f"the layers of the mapping have shapes {sizes[:12]}")
    if sizes[-1][0] not in (dim, dim * layers) or any(max(size) > WIDEST for size in sizes):
        raise CheckpointError(
            f"the mapping is from {sizes[0][1]} to {sizes[-1][0]} numbers, the styles read {dim}"
        )
    return layers, dim


def mapping(raw: State, bias_gain: float) -> dict[str, Tensor]:
    """The mapping network."""
    state: dict[str, Tensor] = {}
    for key in series(raw, "mapping.{}.weight"):
        state |= dense(raw, key.removesuffix(".weight"), GAIN * LEARNING_RATE, bias_gain)
    return state


def dense(raw: State, name: str, gain: float = 1.0, bias_gain: float = 1.0) -> dict[str, Tensor]:
    """A fully connected layer with its learning rate, which is equalised, in its weights."""
    weight, bias = raw[f"{name}.weight"], raw[f"{name}.bias"]
    return {
        f"{name}.weight": weight * (gain / math.sqrt(weight.shape[1])),
        f"{name}.bias": bias * bias_gain if bias_gain != 1 else bias,
    }


@torch.no_grad()
def centre(state: dict[str, Tensor]) -> Tensor:
    """The mean of W, estimated from the mapping network: files of a training run have none."""
    keys = series(state, "mapping.{}.weight")
    source, means = torch.Generator().manual_seed(0), []
    for _ in range(10):  # parts, as memory grows with the widest layer
        x = torch.randn(SAMPLES // 10, state[keys[0]].shape[1], generator=source)
        x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
        for key in keys:
            x = F.leaky_relu(F.linear(x, state[key], state[key.replace("weight", "bias")]), 0.2)
        means.append(x.mean(0, keepdim=True))
    return torch.stack(means).mean(0)
