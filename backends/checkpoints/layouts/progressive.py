"""PGGAN as genforce and InterFaceGAN store it: recognised, so that the refusal can name it."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, among
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series


class Progressive(Layout):
    family = "PGGAN"
    title = "genforce or InterFaceGAN .pth"
    plugin = ""

    def find(self, tree: Any) -> State | None:
        names = ("layer0.weight", "layer0.conv.weight")
        return among(
            tree,
            ["generator_smooth", "generator"],
            lambda s: any(name in s and s[name].shape[2:] == (4, 4) for name in names) and "lod" in s,
        )

    def facts(self, part: State) -> dict[str, Any]:
        name = "layer{}.weight" if "layer0.weight" in part else "layer{}.conv.weight"
        count = len(series(part, name))
        return {"size": 2 << (count // 2), "rows": 1, "dim": part[name.format(0)].shape[1], "note": "Z only"}

    def translate(self, part: State) -> State:
        raise CheckpointError("no plugin reads PGGAN yet")
