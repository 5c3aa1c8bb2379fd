"""Our own safetensors of a StyleGAN: what `convert` writes, and what the networks read as it is."""

from typing import Any

from torch import Tensor

from backends.checkpoints.formats import Contents, Format, State
from backends.checkpoints.formats._stylegan import shape


class Own(Format):
    title = "this project's safetensors"

    def find(self, contents: Contents) -> State | None:
        for number, signs in ((2, {"convs.0.strength", "mean"}), (1, {"convs.0.scale", "bounded"})):
            state = contents.first(lambda state, signs=signs: signs <= state.keys())
            if state is not None:
                self.family, self.plugin = f"StyleGAN{number}", f"generators/stylegan{number}"
                return state
        return None

    def facts(self, state: State) -> dict[str, Any]:
        layers, dim = shape(state, colours=int("convs.0.strength" in state))
        return {"size": 2 << layers // 2, "layers": layers, "dim": dim}

    def translate(self, state: State) -> dict[str, Tensor]:
        return dict(state)
