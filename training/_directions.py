"""What the trainers of directions share: the frame that moves are made of, and checkpoints to go on from."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from backends import device
from backends.cache import whole
from backends.generators import Generator
from config import ConfigError
from directions._derivatives import SAMPLES
from directions._statistics import principal


def components(generator: Generator, layers: Sequence[int], count: int) -> Float[Tensor, "k dim"]:
    """Rows: the first `count` principal components of W, a standard deviation each."""
    variances, vectors = principal(generator, tuple(layers), SAMPLES)
    return (variances.sqrt()[:, None] * vectors)[:count]


def save(file: Path, parts: dict[str, Any], step: int) -> None:
    """The states of `parts` after `step` steps; the file is there whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with whole(file) as partial:
        torch.save({"step": step} | {name: part.state_dict() for name, part in parts.items()}, partial)


def resume(file: Path, parts: dict[str, Any]) -> int:
    """The number of steps done; `parts` get the state they had then. Raises ConfigError."""
    if not file.is_file():
        return 0
    content = torch.load(file, map_location=device(), weights_only=True)
    try:
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (KeyError, ValueError, RuntimeError) as error:
        raise ConfigError("folder: it holds a run of other settings; give an empty one") from error
    return int(content["step"])
