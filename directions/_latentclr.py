"""Reads LatentCLR's `model.pt`: what each direction does to a latent.

    model.params                              (K, dim)              global: the vector itself
    model.nets.{k}.linear_1.{weight,bias}     (dim, dim), (dim)     linear; also "nonlinear" of depth 1
    model.nets.{k}.batchnorm_{i}.*, linear_{i + 1}.weight, ...      nonlinear: normalised, ReLU, next layer

The released models are called nonlinear but have depth 1, so that they are affine maps of w.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.checkpoints import CheckpointError, files
from backends.checkpoints.formats import tensors
from config import ConfigError, resolve

EPSILON = 1e-5  # of the batch normalisation

State = dict[str, Tensor]


@dataclass(frozen=True)
class Move:
    """One direction: latents -> unit vectors along which they move."""

    state: State  # of its own network, or the vector under ""

    @property
    def constant(self) -> bool:
        return "" in self.state

    @property
    def dim(self) -> int:
        return self.state["" if self.constant else "linear_1.weight"].shape[-1]

    @torch.no_grad()
    def __call__(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        state = {key: value.to(w) for key, value in self.state.items()}
        if self.constant:
            return F.normalize(state[""].expand_as(w), dim=1)
        depth, x = _depth(state), w
        for i in range(1, depth + 1):
            x = F.linear(x, state[f"linear_{i}.weight"], state.get(f"linear_{i}.bias"))
            name = f"batchnorm_{i}"
            if f"{name}.running_mean" in state:
                parts = (state[f"{name}.{key}"] for key in ("running_mean", "running_var", "weight", "bias"))
                x = F.batch_norm(x, *parts, eps=EPSILON)  # pyright: ignore[reportArgumentType]
            x = F.relu(x) if i < depth else x
        return F.normalize(x, dim=1)


def _depth(state: State) -> int:
    return sum(key.startswith("linear_") and key.endswith(".weight") for key in state)


def read(file: str) -> list[Move]:
    """The directions of a `model.pt`; nothing in it is executed. Raises ConfigError."""
    path = resolve(file)
    if not path.is_file():
        raise ConfigError(f"{path.name}: there is no such file of directions")
    return _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=4)
def _read(path: Path, changed: int) -> list[Move]:
    try:
        moves = _moves(files.read(path))
    except CheckpointError as error:
        raise ConfigError(f"{path.name}: not a model of LatentCLR: {error}") from error
    except KeyError as error:
        raise ConfigError(f"{path.name}: not a complete model of LatentCLR: {error} is missing") from error
    except (IndexError, RuntimeError, TypeError, ValueError) as error:  # layers that do not fit each other
        raise ConfigError(f"{path.name}: not a complete model of LatentCLR") from error
    if not moves:
        raise ConfigError(f"{path.name}: holds no model of LatentCLR (model.params or model.nets)")
    return moves


def _moves(tree: Any) -> list[Move]:
    state = tensors(tree.get("model", tree)) if isinstance(tree, dict) else {}
    if "params" in state and state["params"].dim() == 2:
        return [Move({"": vector}) for vector in state["params"].float()]
    numbers = {key.split(".")[1] for key in state if key.startswith("nets.")}
    moves = []
    for number in map(str, range(len(numbers))):
        own = {key: value.float() for key, value in tensors(state, f"nets.{number}.").items()}
        move = Move(own)
        move(torch.zeros(1, own["linear_1.weight"].shape[1]))  # a missing layer shows here
        moves.append(move)
    return moves
