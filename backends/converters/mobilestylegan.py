"""MobileStyleGAN: the OpenVINO networks of the package `random-face` -> the state dict of our network."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from backends.converters import ConversionError, Converter
from backends.converters._openvino import numbered, read_ir
from backends.networks.mobilestylegan import Mapping as MappingNetwork

Constants = dict[str, Tensor]  # name of the OpenVINO layer -> its value
MEAN_SAMPLES = 65536  # standard error of the mean: 0.4 % of a standard deviation


@dataclass
class MobileStyleGAN(Converter):
    """Layout of networks.mobilestylegan.MobileStyleGAN.

    The exporter kept the names of modulations, depthwise kernels and biases. It folded demodulation into
    pointwise kernels and noise strength into noise maps, and left both with running numbers: their order is
    the network's.
    """

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """State dict from the .xml and .bin of both networks, with the mean of W added."""
        mapping = read_ir(files["MappingNetwork.xml"], files["MappingNetwork.bin"])
        synthesis = read_ir(files["SynthesisNetwork.xml"], files["SynthesisNetwork.bin"])
        try:
            state = _mapping(mapping) | _synthesis(synthesis)
        except (KeyError, ValueError, IndexError) as error:
            raise ConversionError(f"not the networks of MobileStyleGAN: {error}") from error
        return {name: value.contiguous().clone() for name, value in state.items()}


def _mapping(constants: Constants) -> dict[str, Tensor]:
    names = [name for name in numbered(constants) if constants[name].is_floating_point()]
    weights = [constants[name] for name in names if len(constants[name].flatten()) > len(constants[name])]
    biases = [constants[name] for name in names if constants[name].ndim == 1]
    state: dict[str, Tensor] = {}
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        state |= {f"layers.{i}.weight": weight, f"layers.{i}.bias": bias}
    mean = _mean(state, len(weights))
    return {f"mapping.{key}": value for key, value in (state | {"mean": mean}).items()}


@torch.no_grad()
def _mean(state: dict[str, Tensor], depth: int) -> Tensor:
    """Mean of W over fixed samples: the published files do not hold StyleGAN's running average."""
    network = MappingNetwork(len(state["layers.0.bias"]), depth)
    network.load_state_dict(state, strict=False)  # all but the mean
    z = torch.randn(MEAN_SAMPLES, network.mean.numel(), generator=torch.Generator().manual_seed(0))
    return torch.cat([network(part) for part in z.split(4096)]).double().mean(0).float()


def _synthesis(constants: Constants) -> dict[str, Tensor]:
    """The constant that scales each modulation goes into the kernel after it: modulations stay StyleGAN's."""
    kernels = [constants[name] for name in numbered(constants, "Mul_", "_copy")]
    scales = [constants[n] for n in numbered(constants, "Constant_") if constants[n].shape == (1, 1, 1, 1)]
    maps = [constants[name] for name in numbered(constants) if constants[name].ndim == 4]
    noises = [value for value in maps if value.shape[2] > 1]
    depth = len(kernels) // 2  # blocks, of two separable convolutions each; one dense convolution before them
    names = ["first"] + [f"blocks.{i}.conv{k}" for i in range(depth) for k in (1, 2)]
    head = f"m.layers.{depth - 1}.to_img"
    state = {
        "first.constant": constants["m.input.input"][0],
        "head.weight": constants[f"{head}.conv.weight"] * scales[-1],
        "head.bias": constants[f"{head}.bias"].flatten(),
        **_linear(constants, f"{head}.conv.modulation", "head.modulation"),
    }
    for name, kernel, noise, scale in zip(names, kernels, noises, scales[:-1], strict=True):
        source = "m.conv1" if name == "first" else f"m.layers.{name.removeprefix('blocks.')}"
        state |= _linear(constants, f"{source}.conv.modulation", f"{name}.modulation")
        state |= {f"{name}.noise": noise[0, 0], f"{name}.bias": constants[f"{source}.bias"].flatten()}
        if name == "first":
            state[f"{name}.weight"] = kernel * scale
        else:
            depthwise = constants[f"{source}.conv.weight_dw"].flatten(1, 2) * scale
            state |= {f"{name}.depthwise": depthwise, f"{name}.pointwise": kernel}
    for i in range(depth):
        state |= _linear(constants, f"m.layers.{i}.up.modulation", f"blocks.{i}.up")
    return {f"synthesis.{name}": value for name, value in state.items()}


def _linear(constants: Constants, source: str, target: str) -> dict[str, Tensor]:
    weight, bias = constants[f"{source}.weight"], constants[f"{source}.bias"]
    return {f"{target}.weight": weight, f"{target}.bias": bias.flatten()}
