"""StyleGAN1 as genforce's projects (SeFa, GenForce) store it; huggan/stylegan_* files are flat."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, among
from backends.checkpoints.layouts._stylegan1 import FUSED, Layer, assemble, facts
from backends.checkpoints.layouts._stylegan2 import Dense
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series


class GenforceStyleGAN1(Layout):
    family = "StyleGAN1"
    title = "genforce .pth (generator_smooth, generator or flat)"
    plugin = "generators/stylegan1"

    def find(self, tree: Any) -> State | None:
        return among(
            tree,
            ["generator_smooth", "generator"],
            lambda s: "synthesis.layer0.style.weight" in s and "synthesis.layer0.const" in s,
        )

    def facts(self, part: State) -> dict[str, Any]:
        styles = series(part, "synthesis.layer{}.style.weight")
        return facts(len(styles), part[styles[0]].shape[1])

    def translate(self, part: State) -> State:
        try:
            keys = series(part, "mapping.dense{}.weight")
            mapping = [Dense(part[key], part[key.replace("weight", "bias")]) for key in keys]
            names = [
                key.removesuffix(".style.weight") for key in series(part, "synthesis.layer{}.style.weight")
            ]
            layers = [_layer(part, name, j) for j, name in enumerate(names)]
            last = f"synthesis.output{len(layers) // 2 - 1}"
            rgb = Dense(part[f"{last}.weight"], part[f"{last}.bias"])
            constant = part["synthesis.layer0.const"]
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        return assemble(
            mapping, part.get("truncation.w_avg"), constant, layers, rgb, part.get("synthesis.lod")
        )


def _layer(part: State, name: str, j: int) -> Layer:
    weight = part[f"{name}.weight"] if j else None
    if weight is not None and j % 2 == 0 and 4 << j // 2 >= FUSED:
        weight = weight.flip(2, 3)  # a transposed convolution turns its kernels
    return Layer(
        weight,
        part[f"{name}.bias"],
        part[f"{name}.apply_noise.weight"],
        part[f"{name}.apply_noise.noise"],
        Dense(part[f"{name}.style.weight"], part[f"{name}.style.bias"]),
    )
