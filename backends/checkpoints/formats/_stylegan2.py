"""What all StyleGAN2 formats have in common: raw weights in, the state of `networks.stylegan2` out.

Raw weights have our names, and equalised learning rates are not yet applied: `mapping.{i}`, `constant`,
`convs.{j}` and `rgbs.{k}` with `weight`, `bias` and `style.*` (which includes the one that some formats add
at run time), `convs.{j}.noise` and `.strength`, and `mean`, the average of W, if there is one. Weights of
upsampling layers are meant for conv_transpose2d.
"""

import math
from abc import abstractmethod
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from backends.checkpoints.formats import Format, State
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

LEARNING_RATE = 0.01  # of the mapping, relative; the same in all public files
GAIN = math.sqrt(2)
FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64
SAMPLES = 10_000  # that a mean is estimated with, as e4e does
CONDITIONAL = "the network is conditional (it has a label input); only unconditional ones are read"


class StyleGAN2Format(Format):
    """A format says what its raw weights are."""

    family = "StyleGAN2"
    plugin = "generators/stylegan2"
    assumed = "mapping learning rate 0.01, leaky ReLU of slope 0.2, demodulation, no clamping of activations"

    @abstractmethod
    def raw(self, state: State) -> State:
        """The raw weights. Raises CheckpointError for what cannot be right."""

    def facts(self, state: State) -> dict[str, Any]:
        raw = self.raw(state)
        styles = series(raw, "rgbs.{}.style.weight")
        if not styles:
            raise CheckpointError("it has no colour layers: no StyleGAN2 with skip connections")
        return {"size": 2 << len(styles), "layers": 2 * len(styles), "dim": raw[styles[0]].shape[1]}

    def translate(self, state: State) -> dict[str, Tensor]:
        return assemble(self.raw(state))


def assemble(raw: State) -> dict[str, Tensor]:
    """The canonical state: gains and learning rates go into the weights. Raises CheckpointError."""
    check(raw)
    constant = raw["constant"]
    state = {"constant": constant.reshape(constant.shape[-3:])} | mapping(raw, GAIN * LEARNING_RATE)
    for name in [
        key.removesuffix(".weight") for kind in ("convs", "rgbs") for key in series(raw, kind + ".{}.weight")
    ]:
        state[f"{name}.weight"] = raw[f"{name}.weight"] / math.sqrt(raw[f"{name}.weight"][0].numel())
        state[f"{name}.bias"] = raw[f"{name}.bias"].reshape(-1)
        state |= dense(raw, f"{name}.style", 1.0)
        if name.startswith("convs"):
            state[f"{name}.strength"] = raw[f"{name}.strength"].reshape(())
            state[f"{name}.noise"] = raw[f"{name}.noise"].reshape(raw[f"{name}.noise"].shape[-2:])
        else:
            state[f"{name}.weight"] = state[f"{name}.weight"][:, :, 0, 0]
    return state | mean(state, raw, len(series(raw, "convs.{}.weight")) + 1)


def mapping(raw: State, bias_gain: float) -> dict[str, Tensor]:
    """The mapping network. Raises CheckpointError when its layers do not fit each other."""
    keys = series(raw, "mapping.{}.weight")
    shapes = [tuple(raw[key].shape) for key in keys]
    if (
        not shapes
        or any(len(shape) != 2 for shape in shapes)
        or any(a[0] != b[1] for a, b in pairwise(shapes))
    ):
        raise CheckpointError(f"the layers of the mapping have shapes {shapes[:12]}")
    if shapes[0][1] > 8192:
        raise CheckpointError(f"a z of {shapes[0][1]:,} numbers")
    state: dict[str, Tensor] = {}
    for key in keys:
        state |= dense(raw, key.removesuffix(".weight"), GAIN * LEARNING_RATE, bias_gain)
    return state


def dense(raw: State, name: str, gain: float, bias_gain: float = 1.0) -> dict[str, Tensor]:
    """A fully connected layer with its learning rate, which is equalised, in its weights."""
    weight, bias = raw[f"{name}.weight"], raw[f"{name}.bias"]
    return {
        f"{name}.weight": weight * (gain / math.sqrt(weight.shape[1])),
        f"{name}.bias": bias * bias_gain if bias_gain != 1 else bias,
    }


def mean(state: dict[str, Tensor], raw: State, layers: int) -> dict[str, Tensor]:
    """The average of W, one or one per layer: the file's, or an estimate where it has none."""
    dim = raw["convs.0.style.weight"].shape[1]
    average = raw["mean"] if "mean" in raw else centre(state)
    if average.numel() not in (dim, layers * dim):
        raise CheckpointError(
            f"the average of W has shape {tuple(average.shape)}; {dim} numbers were expected"
        )
    return {"mean": average.reshape(-1, dim)}


@torch.no_grad()
def centre(state: dict[str, Tensor]) -> Tensor:
    """The mean of W, estimated from the mapping network of a canonical state."""
    keys = series(state, "mapping.{}.weight")
    x = torch.randn(SAMPLES, state[keys[0]].shape[1], generator=torch.Generator().manual_seed(0))
    x = x * torch.rsqrt(x.square().mean(1, keepdim=True) + 1e-8)
    for key in keys:
        x = F.leaky_relu(F.linear(x, state[key], state[key.replace("weight", "bias")]), 0.2)
    return x.mean(0, keepdim=True)


def check_filters(state: State, *endings: str) -> None:
    """Raises CheckpointError unless every resampling filter with such a key is 1-3-3-1."""
    for key, value in state.items():
        if not key.endswith(endings) or value.is_meta:
            continue
        kernel = value.float().squeeze()
        if kernel.shape != (4, 4) or not torch.allclose(kernel / kernel.sum(), FILTER, atol=1e-4):
            raise CheckpointError(f"the resampling filter {key} is not the usual 1-3-3-1")


def check(raw: State) -> None:
    """Raises CheckpointError unless the parts fit each other, so that a damaged file is refused here."""
    convs, levels = len(series(raw, "convs.{}.weight")), len(series(raw, "rgbs.{}.weight"))
    if not 2 <= levels <= 10 or convs != 2 * levels - 1 or "constant" not in raw:
        raise CheckpointError(
            f"{convs} convolutions and {levels} colour layers are no StyleGAN2 with skip connections "
            "(config-e or -f)"
        )
    dim = raw["convs.0.style.weight"].shape[1] if "convs.0.style.weight" in raw else 0
    widths = [raw["constant"].shape[-3], *(raw[f"convs.{j}.weight"].shape[0] for j in range(convs))]
    for j, (inputs, outputs) in enumerate(pairwise(widths)):
        side = 4 << (j + 1) // 2
        expect(raw, f"convs.{j}.weight", f"convolution {j}", (outputs, inputs, 3, 3))
        expect(raw, f"convs.{j}.bias", f"the bias of convolution {j}", (outputs,))
        expect(raw, f"convs.{j}.style.weight", f"the style of convolution {j}", (inputs, dim))
        expect(raw, f"convs.{j}.style.bias", f"the style bias of convolution {j}", (inputs,))
        expect(raw, f"convs.{j}.noise", f"the noise of convolution {j}", (side, side))
        expect(raw, f"convs.{j}.strength", f"the noise strength of convolution {j}", ())
    for k in range(levels):
        expect(raw, f"rgbs.{k}.weight", f"colour layer {k}", (3, widths[2 * k + 1], 1, 1))
        expect(raw, f"rgbs.{k}.bias", f"the bias of colour layer {k}", (3,))
        expect(raw, f"rgbs.{k}.style.weight", f"the style of colour layer {k}", (widths[2 * k + 1], dim))
        expect(raw, f"rgbs.{k}.style.bias", f"the style bias of colour layer {k}", (widths[2 * k + 1],))
    last = series(raw, "mapping.{}.weight")[-1:]
    if last and raw[last[0]].shape[0] != dim:
        raise CheckpointError(f"the mapping ends in {raw[last[0]].shape[0]} numbers, the styles read {dim}")


def expect(raw: State, key: str, what: str, shape: tuple[int, ...]) -> None:
    """Raises CheckpointError unless the tensor is there, with this shape but for axes of length one."""
    if key not in raw:
        raise CheckpointError(f"{what} is missing")
    if [n for n in raw[key].shape if n != 1] != [n for n in shape if n != 1]:
        raise CheckpointError(f"{what} has shape {tuple(raw[key].shape)}; {shape} was expected")
