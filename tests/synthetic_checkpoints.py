"""Checkpoints with the keys and shapes of the public files, at any size: one function in many layouts."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

Make = Callable[..., Tensor]


def widths(size: int, base: int = 32768, most: int = 512) -> list[int]:
    """Channels of each resolution from 4 x 4 on (config-f: base 32768)."""
    return [min(most, base // (4 << k)) for k in range(int(math.log2(size)) - 1)]


def filters(like: Tensor) -> Tensor:
    """The resampling filter 1-3-3-1 of every public StyleGAN2, in the memory of another tensor."""
    taps = torch.tensor([1.0, 3, 3, 1], device=like.device)
    return torch.outer(taps, taps) / 64


class Random:
    """Tensors by shape, always different ones; small where a network would blow up otherwise."""

    def __init__(self, seed: int = 0) -> None:
        self.source = torch.Generator().manual_seed(seed)

    def __call__(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self.source)


def empty(*shape: int) -> Tensor:
    """Shapes without memory, to compare listings of full-size files."""
    return torch.empty(shape, device="meta")


def nvidia(channels: list[int], dim: int, depth: int = 8, make: Make | None = None) -> dict[str, Tensor]:
    """StyleGAN2 as G_ema.state_dict() of NVIDIA's PyTorch code has it."""
    make = make or Random()
    state = {
        f"mapping.fc{i}.{k}": make(*s)
        for i in range(depth)
        for k, s in (("weight", (dim, dim)), ("bias", (dim,)))
    }
    state["mapping.w_avg"] = make(dim)
    for level, outputs in enumerate(channels):
        side, name = 4 << level, f"synthesis.b{4 << level}"
        state[f"{name}.resample_filter"] = filters(state["mapping.w_avg"])
        if not level:
            state[f"{name}.const"] = make(outputs, 4, 4)
        convs = [("conv0", channels[level - 1], 3)] if level else []
        for conv, inputs, kernel in [*convs, ("conv1", outputs, 3), ("torgb", outputs, 1)]:
            end = 3 if conv == "torgb" else outputs
            state[f"{name}.{conv}.weight"] = make(end, inputs, kernel, kernel)
            state[f"{name}.{conv}.bias"] = make(end)
            state[f"{name}.{conv}.affine.weight"] = make(inputs, dim)
            state[f"{name}.{conv}.affine.bias"] = make(inputs) + 1
            if conv != "torgb":
                state[f"{name}.{conv}.resample_filter"] = filters(state["mapping.w_avg"])
                state[f"{name}.{conv}.noise_const"] = make(side, side)
                state[f"{name}.{conv}.noise_strength"] = make() * 0.1
    return state


def _convs(levels: int) -> list[str]:
    return ["b4.conv1", *(f"b{4 << k}.conv{i}" for k in range(1, levels) for i in (0, 1))]


def rosinality(source: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """The same function, as rosinality's g_ema."""
    filter = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    state = {
        key.replace("mapping.fc", "style."): value
        for key, value in source.items()
        if key.startswith("mapping.fc")
    }
    state = {f"style.{int(key.split('.')[1]) + 1}.{key.split('.')[2]}": value for key, value in state.items()}
    state["input.input"] = source["synthesis.b4.const"][None]
    for j, name in enumerate(_convs(levels)):
        own, theirs = ("conv1" if j == 0 else f"convs.{j - 1}"), f"synthesis.{name}"
        state[f"{own}.conv.weight"] = source[f"{theirs}.weight"][None]
        if j % 2:
            state[f"{own}.conv.blur.kernel"] = filter.to(source[f"{theirs}.bias"].device)
        state[f"{own}.conv.modulation.weight"] = source[f"{theirs}.affine.weight"]
        state[f"{own}.conv.modulation.bias"] = source[f"{theirs}.affine.bias"]
        state[f"{own}.noise.weight"] = source[f"{theirs}.noise_strength"][None]
        state[f"{own}.activate.bias"] = source[f"{theirs}.bias"]
        state[f"noises.noise_{j}"] = source[f"{theirs}.noise_const"][None, None]
    for k in range(levels):
        own, theirs = ("to_rgb1" if k == 0 else f"to_rgbs.{k - 1}"), f"synthesis.b{4 << k}.torgb"
        state[f"{own}.bias"] = source[f"{theirs}.bias"].view(1, 3, 1, 1)
        if k:
            state[f"{own}.upsample.kernel"] = filter.to(source[f"{theirs}.bias"].device)
        state[f"{own}.conv.weight"] = source[f"{theirs}.weight"][None]
        state[f"{own}.conv.modulation.weight"] = source[f"{theirs}.affine.weight"]
        state[f"{own}.conv.modulation.bias"] = source[f"{theirs}.affine.bias"]
    return state


def genforce(source: dict[str, Tensor], levels: int) -> dict[str, Tensor]:
    """The same function, as genforce's generator_smooth: raw style biases, upsampling kernels turned."""
    state = {
        key.replace("mapping.fc", "mapping.dense"): value
        for key, value in source.items()
        if key.startswith("mapping.fc")
    }
    state["truncation.w_avg"] = source["mapping.w_avg"]
    state["synthesis.early_layer.const"] = source["synthesis.b4.const"][None]
    names = [(f"layer{j}", name, j % 2 == 1) for j, name in enumerate(_convs(levels))]
    names += [(f"output{k}", f"b{4 << k}.torgb", False) for k in range(levels)]
    for own, theirs, up in names:
        own, theirs = f"synthesis.{own}", f"synthesis.{theirs}"
        weight = source[f"{theirs}.weight"]
        state[f"{own}.weight"] = weight.flip(2, 3) if up else weight
        state[f"{own}.bias"] = source[f"{theirs}.bias"]
        state[f"{own}.style.weight"] = source[f"{theirs}.affine.weight"]
        state[f"{own}.style.bias"] = source[f"{theirs}.affine.bias"] - 1
        if "output" not in own:
            state[f"{own}.noise_strength"] = source[f"{theirs}.noise_strength"]
            state[f"{own}.noise"] = source[f"{theirs}.noise_const"][None, None]
        if up:
            state[f"{own}.filter.kernel"] = source[f"{theirs}.resample_filter"][None, None]
    state["synthesis.upsample.kernel"] = source["synthesis.b4.resample_filter"][None, None]
    return state


def tensorflow(source: dict[str, Tensor], levels: int) -> tuple[list[Any], list[Any], list[Any]]:
    """The same function, as variables of Gs, its mapping and its synthesis in TensorFlow's order of axes."""
    numpy = {key: value.numpy() for key, value in source.items()}
    depth = sum(key.startswith("mapping.fc") for key in source) // 2
    mapping = [
        (f"Dense{i}/{k}", np.ascontiguousarray(numpy[f"mapping.fc{i}.{k}"].T))
        for i in range(depth)
        for k in ("weight", "bias")
    ]
    synthesis = [("4x4/Const/const", numpy["synthesis.b4.const"][None])]
    names = [(name, j) for j, name in enumerate(_convs(levels))] + [
        (f"b{4 << k}.torgb", None) for k in range(levels)
    ]
    for name, j in names:
        side, kind = name[1:].split(".")
        theirs = f"synthesis.{name}"
        own = (
            f"{side}x{side}/"
            + {"conv0": "Conv0_up", "conv1": "Conv1" if j else "Conv", "torgb": "ToRGB"}[kind]
        )
        weight = numpy[f"{theirs}.weight"].transpose(2, 3, 1, 0)
        weight = weight[::-1, ::-1] if kind == "conv0" else weight
        synthesis += [
            (f"{own}/weight", np.ascontiguousarray(weight)),
            (f"{own}/bias", numpy[f"{theirs}.bias"]),
        ]
        synthesis += [(f"{own}/mod_weight", np.ascontiguousarray(numpy[f"{theirs}.affine.weight"].T))]
        synthesis += [(f"{own}/mod_bias", numpy[f"{theirs}.affine.bias"] - 1)]
        if j is not None:
            synthesis += [(f"{own}/noise_strength", numpy[f"{theirs}.noise_strength"][()])]
            synthesis += [(f"noise{j}", numpy[f"{theirs}.noise_const"][None, None])]
    return [("lod", np.float32(0)), ("dlatent_avg", numpy["mapping.w_avg"])], mapping, synthesis


def stylegan1(
    channels: list[int], dim: int, layout: str, make: Make | None = None, rows: int = 1, depth: int = 8
) -> dict[str, Tensor]:
    """StyleGAN1: `layout` is genforce, interfacegan or idinvert; `rows` vectors leave the mapping."""
    make = make or Random()
    flat, linear = layout != "genforce", {"idinvert": "fc.", "interfacegan": "linear."}.get(layout, "")
    bias = "wscale." if flat else ""
    state = {}
    for i in range(depth):
        outputs = dim * rows if i == depth - 1 else dim
        state[f"mapping.dense{i}.{linear}weight"] = make(outputs, dim)
        state[f"mapping.dense{i}.{bias}bias"] = make(outputs)
    state |= {"truncation.w_avg": make(dim), "synthesis.lod": make() * 0}
    for j in range(2 * len(channels)):
        inputs, outputs, side = channels[max((j - 1) // 2, 0)], channels[j // 2], 4 << j // 2
        name = f"synthesis.layer{j}"
        inner, style = (f"{name}.epilogue", ".style_mod.dense") if flat else (name, ".style")
        if j == 0:
            const = "first_layer" if layout == "interfacegan" else "const"
            state[f"{name}.{const}"] = make(1, outputs, 4, 4)
        elif flat and j % 2 == 0 and side >= 128:
            state[f"{name}.weight"] = make(3, 3, inputs, outputs)
        else:
            state[f"{name}.{'conv.' if flat else ''}weight"] = make(outputs, inputs, 3, 3)
        if j and j % 2 == 0:
            state[f"{name}.blur.kernel"] = make(outputs, 1, 3, 3)
        state[f"{inner}.bias"] = make(outputs)
        state[f"{inner}.apply_noise.weight"] = make(outputs) * 0.1
        state[f"{inner}.apply_noise.noise"] = make(1, 1, side, side)
        state[f"{inner}{style}.{linear}weight"] = make(2 * outputs, dim)
        state[f"{inner}{style}.{bias}bias"] = make(2 * outputs)
        if j % 2:
            state[f"synthesis.output{j // 2}.bias"] = make(3)
            state[f"synthesis.output{j // 2}.{'conv.' if flat else ''}weight"] = make(3, outputs, 1, 1)
    if flat:
        state["truncation.truncation"] = make(1, 2 * len(channels), 1)
    return state


class Persistent:
    """Pickles as one of NVIDIA's persistent modules does: with source code beside the state.

    `settings`: plain attributes of modules, by their prefix such as "mapping.fc0.".
    """

    def __init__(
        self, reconstruct: Any, state: dict[str, Tensor], settings: dict[str, dict[str, Any]] | None = None
    ) -> None:
        self.reconstruct, self.state, self.settings = reconstruct, state, settings or {}

    def _child(self, name: str) -> "Persistent":
        start = f"{name}."
        inner = {k.removeprefix(start): v for k, v in self.state.items() if k.startswith(start)}
        settings = {k.removeprefix(start): v for k, v in self.settings.items() if k.startswith(start)}
        return Persistent(self.reconstruct, inner, settings)

    def __reduce__(self) -> tuple:
        heads = {key.partition(".")[0]: None for key in self.state if "." in key}
        own = {k: torch.nn.Parameter(v) for k, v in self.state.items() if "." not in k}
        children = {head: self._child(head) for head in heads}
        state = {"_parameters": own, "_buffers": {}, "_modules": children, "training": False}
        source = "raise SystemExit('executed')"
        meta = dict(type="class", version=6, module_src=source, class_name="G")
        return self.reconstruct, (meta | {"state": state | self.settings.get("", {})},)
