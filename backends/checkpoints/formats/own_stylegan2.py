"""Our own safetensors of StyleGAN2: what `convert` writes, and what the network reads as it is."""

from torch import Tensor

from backends.checkpoints.formats import Contents, State
from backends.checkpoints.formats._stylegan2 import StyleGAN2Format


class OwnStyleGAN2(StyleGAN2Format):
    title = "this project's safetensors"
    assumed = ""

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: "convs.0.strength" in state and "mean" in state)

    def raw(self, state: State) -> State:
        return state

    def translate(self, state: State) -> dict[str, Tensor]:
        return dict(state)
