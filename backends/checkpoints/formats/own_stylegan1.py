"""Our own safetensors of StyleGAN1: what `convert` writes, and what the network reads as it is."""

from torch import Tensor

from backends.checkpoints.formats import Contents, State
from backends.checkpoints.formats._stylegan1 import StyleGAN1Format


class OwnStyleGAN1(StyleGAN1Format):
    title = "this project's safetensors"
    assumed = ""

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: "convs.0.scale" in state and "bounded" in state)

    def raw(self, state: State) -> State:
        return state

    def translate(self, state: State) -> dict[str, Tensor]:
        return dict(state)
