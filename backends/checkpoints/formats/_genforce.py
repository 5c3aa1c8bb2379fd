"""What the formats of genforce's projects share: names of the mapping, signs of a conditional one."""

import re
from collections.abc import Callable

from backends.checkpoints.formats import State
from backends.checkpoints.formats._stylegan2 import CONDITIONAL
from backends.checkpoints.objects import CheckpointError

MAPPING: dict[str, Callable[[re.Match[str]], str]] = {r"mapping\.dense(\d{1,3})": lambda m: f"mapping.{m[1]}"}


def check_conditional(state: State) -> None:
    """Raises CheckpointError for networks with labels, whose mapping reads z and an embedding beside it."""
    first = next((state[key] for key in state if re.fullmatch(r"mapping\.dense0(\.\w+)?\.weight", key)), None)
    wide = first is not None and first.dim() == 2 and first.shape[1] > first.shape[0]
    if wide or any(re.match(r"mapping\.(label|embed)", key) for key in state):
        raise CheckpointError(CONDITIONAL)
