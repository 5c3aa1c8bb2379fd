"""Our own safetensors of StyleGAN1: what `convert` writes, and what the network reads as it is."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, _stylegan1, tensors
from backends.networks.mapping import series


class OwnStyleGAN1(Layout):
    family = "StyleGAN1"
    title = "this project's safetensors"
    plugin = "generators/stylegan1"

    def find(self, tree: Any) -> State | None:
        part = tensors(tree)
        return part if "convs.0.scale" in part and "bounded" in part else None

    def facts(self, part: State) -> dict[str, Any]:
        return _stylegan1.facts(len(series(part, "convs.{}.scale")), part["mean"].shape[1])

    def translate(self, part: State) -> State:
        return part
