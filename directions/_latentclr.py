"""Reads LatentCLR's `model.pt`: what each direction does to a latent.

    model.params                              (K, dim)              global: the vector itself
    model.nets.{k}.linear_1.{weight,bias}     (dim, dim), (dim)     linear; also "nonlinear" of depth 1
    model.nets.{k}.batchnorm_{i}.*, linear_{i + 1}.weight, ...      nonlinear: normalised, ReLU, next layer

The released models are called nonlinear but have depth 1, so that they are affine maps of w.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.checkpoints import CheckpointError, files
from backends.checkpoints.formats import tensors
from config import ConfigError
from directions._cache import by_file

EPSILON = 1e-5  # of the batch normalisation
VECTOR = ""  # key of a global direction's state

State = dict[str, Tensor]  # of one direction's network, or its vector


@torch.no_grad()
def move(w: Float[Tensor, "n dim"], state: State) -> Float[Tensor, "n dim"]:
    """The unit vectors along which a direction moves latents."""
    state = {key: value.to(w) for key, value in state.items()}
    if VECTOR in state:
        return F.normalize(state[VECTOR].expand_as(w), dim=1)
    depth, x = sum(key.startswith("linear_") and key.endswith(".weight") for key in state), w
    for i in range(1, depth + 1):
        x = F.linear(x, state[f"linear_{i}.weight"], state.get(f"linear_{i}.bias"))
        norm = f"batchnorm_{i}"
        if f"{norm}.running_mean" in state:
            parts = (state[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
            x = F.batch_norm(x, *parts, eps=EPSILON)  # pyright: ignore[reportArgumentType]
        x = F.relu(x) if i < depth else x
    return F.normalize(x, dim=1)


@by_file
def read(path: Path) -> list[State]:
    """The directions of a `model.pt`, all of one kind; nothing in it is executed. Raises ConfigError."""
    try:
        states = _states(files.read(path))
    except CheckpointError as error:
        raise ConfigError(f"{path.name}: not a model of LatentCLR: {error}") from error
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{path.name}: not a complete model of LatentCLR: {error} is missing") from error
    if not states:
        raise ConfigError(f"{path.name}: holds no model of LatentCLR (model.params or model.nets)")
    return states


def _states(tree: Any) -> list[State]:
    state = tensors(tree.get("model", tree)) if isinstance(tree, dict) else {}
    if "params" in state and state["params"].dim() == 2:
        return [{VECTOR: vector} for vector in state["params"].float()]
    numbers = {key.split(".")[1] for key in state if key.startswith("nets.")}
    states = []
    for number in map(str, range(len(numbers))):
        own = {key: value.float() for key, value in tensors(state, f"nets.{number}.").items()}
        move(torch.zeros(1, own["linear_1.weight"].shape[1]), own)  # a missing layer shows here
        states.append(own)
    return states
