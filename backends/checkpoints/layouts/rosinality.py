"""StyleGAN2 as rosinality/stylegan2-pytorch stores it; e4e, pSp and ReStyle embed the same generator."""

from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.layouts import Layout, State, tensors
from backends.checkpoints.layouts._stylegan2 import Dense, Styled, assemble, facts
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


class Rosinality(Layout):
    family = "StyleGAN2"
    title = "rosinality .pt (g_ema), also inside e4e, pSp and ReStyle (decoder.*)"
    plugin = "generators/stylegan2"

    def find(self, tree: Any) -> State | None:
        if not isinstance(tree, dict):
            return None
        places = [tensors(tree.get("g_ema")), tensors(tree.get("state_dict"), "decoder."), tensors(tree)]
        places.append(tensors(tree.get("g")))  # training files have both; the average is the better one
        for part in places:
            if "input.input" in part and "conv1.conv.modulation.weight" in part:
                average = tree.get("latent_avg")
                return part | ({"latent_avg": average} if isinstance(average, Tensor) else {})
        return None

    def facts(self, part: State) -> dict[str, Any]:
        channels = [part[key].shape[2] for key in _rgbs(part)]
        return facts(channels, part["conv1.conv.modulation.weight"].shape[-1])

    def translate(self, part: State) -> State:
        if any(key.endswith("blur.kernel") and not _standard(value) for key, value in part.items()):
            raise CheckpointError("the resampling filter is not the usual 1-3-3-1")
        try:
            # style.0 is the normalisation of z and has no weights
            keys = series(part, "style.{}.weight", 1)
            mapping = [Dense(part[key], part[key.replace("weight", "bias")]) for key in keys]
            convs = [_conv(part, name, j) for j, name in enumerate(_convs(part))]
            rgbs = [_rgb(part, key.removesuffix(".conv.weight")) for key in _rgbs(part)]
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        # e4e repeats the average for every row
        return assemble(mapping, part.get("latent_avg"), part["input.input"], convs, rgbs)


def _standard(kernel: Tensor) -> bool:
    return kernel.shape == (4, 4) and torch.allclose(kernel.float() / kernel.float().sum(), FILTER, atol=1e-4)


def _convs(part: State) -> list[str]:
    return ["conv1", *(key.removesuffix(".conv.weight") for key in series(part, "convs.{}.conv.weight"))]


def _rgbs(part: State) -> list[str]:
    return ["to_rgb1.conv.weight", *series(part, "to_rgbs.{}.conv.weight")]


def _style(part: State, name: str) -> Dense:
    return Dense(part[f"{name}.conv.modulation.weight"], part[f"{name}.conv.modulation.bias"])


def _conv(part: State, name: str, j: int) -> Styled:
    return Styled(
        part[f"{name}.conv.weight"][0],  # a leading axis for the batch
        part[f"{name}.activate.bias"],
        _style(part, name),
        part[f"{name}.noise.weight"],
        part[f"noises.noise_{j}"],
    )


def _rgb(part: State, name: str) -> Styled:
    return Styled(part[f"{name}.conv.weight"][0], part[f"{name}.bias"].flatten(), _style(part, name))
