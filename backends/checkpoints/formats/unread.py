"""What no plugin reads, but a refusal can name: PGGAN of genforce and InterFaceGAN, SeFa's factor.pt."""

from typing import Any

from backends.checkpoints.formats import Contents, Format, State
from backends.networks.mapping import series

NAMES = ("layer{}.weight", "layer{}.conv.weight")  # of PGGAN's convolutions


class Unread(Format):
    title = "genforce or InterFaceGAN .pth (PGGAN), or rosinality factor.pt (directions of SeFa)"

    def find(self, contents: Contents) -> State | None:
        factor = contents.first(lambda state: set(state) == {"eigvec"} and state["eigvec"].ndim == 2)
        self.family = "PGGAN" if factor is None else "directions"
        first = [name.format(0) for name in NAMES]
        return factor or contents.first(
            lambda s: "lod" in s and any(name in s and s[name].shape[2:] == (4, 4) for name in first)
        )

    def facts(self, state: State) -> dict[str, Any]:
        if "eigvec" in state:
            note = "directions, one per column, for a direction source; not a network"
            return {"dim": state["eigvec"].shape[0], "note": note}
        keys = max((series(state, name) for name in NAMES), key=len)
        return {"size": 2 << (len(keys) // 2), "layers": 1, "dim": state[keys[0]].shape[1], "note": "Z only"}
