"""PGGAN as genforce and InterFaceGAN store it: recognised, so that the refusal can name it."""

from typing import Any

from backends.checkpoints.formats import Contents, Format, State
from backends.networks.mapping import series

NAMES = ("layer{}.weight", "layer{}.conv.weight")


class Progressive(Format):
    family = "PGGAN"
    title = "genforce or InterFaceGAN .pth"

    def find(self, contents: Contents) -> State | None:
        first = [name.format(0) for name in NAMES]
        return contents.first(
            lambda s: "lod" in s and any(n in s and s[n].shape[2:] == (4, 4) for n in first)
        )

    def facts(self, state: State) -> dict[str, Any]:
        keys = max((series(state, name) for name in NAMES), key=len)
        return {"size": 2 << (len(keys) // 2), "layers": 1, "dim": state[keys[0]].shape[1], "note": "Z only"}
