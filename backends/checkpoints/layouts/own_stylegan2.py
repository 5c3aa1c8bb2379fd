"""Our own safetensors of StyleGAN2: what `convert` writes, and what the network reads as it is."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, _stylegan2, tensors
from backends.networks.mapping import series


class OwnStyleGAN2(Layout):
    family = "StyleGAN2"
    title = "this project's safetensors"
    plugin = "generators/stylegan2"

    def find(self, tree: Any) -> State | None:
        part = tensors(tree)
        return part if "convs.0.strength" in part and "mean" in part else None

    def facts(self, part: State) -> dict[str, Any]:
        return _stylegan2.facts(series(part, "rgbs.{}.weight"), part["mean"].shape[1])

    def translate(self, part: State) -> State:
        return part
