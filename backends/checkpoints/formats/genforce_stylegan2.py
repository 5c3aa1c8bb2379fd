"""StyleGAN2 as genforce's projects (SeFa, GenForce, GHFeat) store it; huggan/* files are flat."""

import re

from backends.checkpoints.formats import Contents, Keys, Names, State
from backends.checkpoints.formats._stylegan import CONDITIONAL, StyleGAN2Format
from backends.checkpoints.objects import CheckpointError
from backends.networks.mapping import series

MAPPING: Names = {r"mapping\.dense(\d{1,3})": lambda m: f"mapping.{m[1]}"}
SAME = ("weight", "bias", "style.weight", "style.bias", "noise")


class GenforceStyleGAN2(StyleGAN2Format):
    title = "genforce .pth (generator_smooth, generator or flat)"
    keys = Keys(
        {
            **MAPPING,
            r"synthesis\.layer(\d{1,3})": lambda m: f"convs.{m[1]}",
            r"synthesis\.output(\d{1,3})": lambda m: f"rgbs.{m[1]}",
        },
        {".noise_strength": "strength"} | {f".{key}": key for key in SAME},
        {"synthesis.early_layer.const": "constant", "truncation.w_avg": "mean"},
    )

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: "synthesis.early_layer.const" in state)

    def mend(self, raw: State, state: State) -> None:
        check_conditional(state)
        for j, key in enumerate(series(raw, "convs.{}.weight")):
            if j % 2:  # as TensorFlow has it: genforce turns the kernels of upsampling layers at run time
                raw[key] = raw[key].flip(2, 3)
        for key in raw:
            if key.endswith(".style.bias"):  # the one is added at run time there
                raw[key] = raw[key] + 1


def check_conditional(state: State) -> None:
    """Raises CheckpointError for networks with labels, whose mapping reads z and an embedding beside it."""
    first = next((state[key] for key in state if re.fullmatch(r"mapping\.dense0(\.\w+)?\.weight", key)), None)
    wide = first is not None and first.dim() == 2 and first.shape[1] > first.shape[0]
    if wide or any(re.match(r"mapping\.(label|embed)", key) for key in state):
        raise CheckpointError(CONDITIONAL)
