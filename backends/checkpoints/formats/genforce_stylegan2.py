"""StyleGAN2 as genforce's projects (SeFa, GenForce, GHFeat) store it; huggan/* files are flat."""

import re
from collections.abc import Callable

from backends.checkpoints.formats import Contents, State, renamed
from backends.checkpoints.formats._stylegan import CONDITIONAL, StyleGAN2Format, check_filters
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

MAPPING: dict[str, Callable[[re.Match[str]], str]] = {r"mapping\.dense(\d{1,3})": lambda m: f"mapping.{m[1]}"}
MODULES = MAPPING | {
    r"synthesis\.layer(\d{1,3})": lambda m: f"convs.{m[1]}",
    r"synthesis\.output(\d{1,3})": lambda m: f"rgbs.{m[1]}",
}
TAILS = {f".{key}": key for key in ("weight", "bias", "style.weight", "style.bias", "noise")}
TAILS |= {".noise_strength": "strength"}
EXTRA = {"synthesis.early_layer.const": "constant", "truncation.w_avg": "mean"}


class GenforceStyleGAN2(StyleGAN2Format):
    title = "genforce .pth (generator_smooth, generator or flat)"

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: "synthesis.early_layer.const" in state)

    def raw(self, state: State) -> State:
        check_conditional(state)
        raw = renamed(state, MODULES, TAILS)
        raw.update({ours: state[key] for key, ours in EXTRA.items() if key in state})
        for j, key in enumerate(series(raw, "convs.{}.weight")):
            if j % 2:  # as TensorFlow has it: genforce turns the kernels of upsampling layers at run time
                raw[key] = raw[key].flip(2, 3)
        for key in raw:
            if key.endswith(".style.bias"):  # the one is added at run time there
                raw[key] = raw[key] + 1
        check_filters(state, ".kernel")
        return raw


def check_conditional(state: State) -> None:
    """Raises CheckpointError for networks with labels, whose mapping reads z and an embedding beside it."""
    first = next((state[key] for key in state if re.fullmatch(r"mapping\.dense0(\.\w+)?\.weight", key)), None)
    wide = first is not None and first.dim() == 2 and first.shape[1] > first.shape[0]
    if wide or any(re.match(r"mapping\.(label|embed)", key) for key in state):
        raise CheckpointError(CONDITIONAL)
