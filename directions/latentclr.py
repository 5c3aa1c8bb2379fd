"""LatentCLR: directions found by contrast, some of which depend on the latent (Yüksel et al., ICCV 2021).

The authors' `model.pt` says what each direction does to a latent:

    model.params                              (K, dim)              global: the vector itself
    model.nets.{k}.linear_1.{weight,bias}     (dim, dim), (dim)     linear; also "nonlinear" of depth 1
    model.nets.{k}.batchnorm_{i}.*, linear_{i + 1}.weight, ...      nonlinear: normalised, ReLU, next layer

The released models are called nonlinear but have depth 1, so that they are affine maps of w.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends.checkpoints import files
from backends.checkpoints.formats import tensors
from backends.generators import Generator
from config import ConfigError
from directions._cache import by_file
from directions._numbered import Components, Numbered

EPSILON = 1e-5  # of the batch normalisation
VECTOR = ""  # key of a global direction's state

State = dict[str, Tensor]  # of one direction's network, or its vector


@dataclass
class LatentCLR(Numbered):
    """Directions of a `model.pt`; which of the three models of section 3.1 it is, is told from the file.

    A global direction is a vector. Linear and nonlinear ones are functions of w: the latent of each layer is
    moved along the vector that the model finds for it, of unit length as in training (`normalize`). Their
    strengths count the standard deviation of W along the vector at the mean latent.
    """

    file: str = ""  # model.pt of LatentCLR, relative to the project's folder
    names: dict[int, str] = field(default_factory=dict)  # number, from 0 as in the authors' tables -> name
    label: ClassVar[str] = "LatentCLR"
    first: ClassVar[int] = 0

    def components(self, generator: Generator) -> Components:
        states = read(self.file)
        if (dim := next(iter(states[0].values())).shape[-1]) != generator.dim:
            raise ConfigError(
                f"{Path(self.file).name} is for latents of {dim} numbers, these have {generator.dim}"
            )
        moves = [partial(move, state=state) for state in states]
        mean = generator.mean().mean(1)
        bends = () if VECTOR in states[0] else moves
        return Components(torch.cat([each(mean) for each in moves]), [""] * len(moves), bends)

    def named(self, number: int) -> str:
        return self.names.get(number, super().named(number))

    def order(self, numbers: range) -> list[int]:
        """The named ones first, then the others in the file's order."""
        named = [number for number in self.names if number in numbers]
        return named + [number for number in numbers if number not in self.names]


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
    tree = files.read(path)
    state = tensors(tree.get("model", tree)) if isinstance(tree, dict) else {}
    if "params" in state and state["params"].dim() == 2:
        return [{VECTOR: vector} for vector in state["params"].float()]
    numbers = {key.split(".")[1] for key in state if key.startswith("nets.")}
    states = []
    for number in map(str, range(len(numbers))):
        own = {key: value.float() for key, value in tensors(state, f"nets.{number}.").items()}
        try:
            move(torch.zeros(1, own["linear_1.weight"].shape[1]), own)  # a missing layer shows here
        except (LookupError, RuntimeError, TypeError) as error:
            raise ValueError("not a complete model of LatentCLR") from error
        states.append(own)
    if not states:
        raise ValueError("it holds no model of LatentCLR (model.params or model.nets)")
    return states
