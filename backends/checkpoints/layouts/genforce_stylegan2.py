"""StyleGAN2 as genforce's projects (SeFa, GenForce, GHFeat) store it; huggan/* files are flat."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, among
from backends.checkpoints.layouts._stylegan2 import Dense, Styled, assemble, facts
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series


class GenforceStyleGAN2(Layout):
    family = "StyleGAN2"
    title = "genforce .pth (generator_smooth, generator or flat)"
    plugin = "generators/stylegan2"

    def find(self, tree: Any) -> State | None:
        return among(tree, ["generator_smooth", "generator"], lambda s: "synthesis.early_layer.const" in s)

    def facts(self, part: State) -> dict[str, Any]:
        outputs = series(part, "synthesis.output{}.style.weight")
        return facts([part[key].shape[0] for key in outputs], part[outputs[0]].shape[1] if outputs else 0)

    def translate(self, part: State) -> State:
        try:
            keys = series(part, "mapping.dense{}.weight")
            mapping = [Dense(part[key], part[key.replace("weight", "bias")]) for key in keys]
            convs = [
                _styled(part, key.removesuffix(".weight"), up=j % 2 == 1)
                for j, key in enumerate(series(part, "synthesis.layer{}.weight"))
            ]
            rgbs = [
                _styled(part, key.removesuffix(".weight"), up=False)
                for key in series(part, "synthesis.output{}.weight")
            ]
            constant = part["synthesis.early_layer.const"]
        except KeyError as error:
            raise CheckpointError(f"{error.args[0]} is missing") from error
        return assemble(mapping, part.get("truncation.w_avg"), constant, convs, rgbs)


def _styled(part: State, name: str, up: bool) -> Styled:
    weight = part[f"{name}.weight"]
    return Styled(
        # stored as TensorFlow has it: genforce turns the kernels of upsampling layers in each forward pass
        weight.flip(2, 3) if up else weight,
        part[f"{name}.bias"],
        # the style's one is added at run time there, too
        Dense(part[f"{name}.style.weight"], part[f"{name}.style.bias"] + 1),
        part.get(f"{name}.noise_strength"),
        part.get(f"{name}.noise"),
    )
