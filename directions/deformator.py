"""Directions that a network can recognise in pictures (Voynov and Babenko, ICML 2020)."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from backends.generators import Generator
from config import ConfigError, resolve
from directions._numbered import Components, Numbered


@dataclass
class Deformator(Numbered):
    """The columns of the deformator that `training/shifts.py` learnt, the best recognised first."""

    file: str = ""  # .safetensors of a training run, relative to the project's folder
    label: ClassVar[str] = "Deformator"

    def components(self, generator: Generator) -> Components:
        path = resolve(self.file)
        try:
            state = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"Deformator: file: {path.name!r} is no file of directions") from error
        vectors = state.get("params", torch.zeros(0, 0))
        if vectors.dim() != 2 or vectors.shape[1] != generator.dim:
            raise ConfigError(f"{path.name}: expected params, (directions, {generator.dim})")
        known = state.get("accuracy", state.get("told"))  # "told": files of earlier versions
        notes = [f"of {path.name}"] * len(vectors)
        if known is not None:
            notes = [f"accuracy {share:.0%}" for share in known.tolist()]
        return Components(torch.nn.functional.normalize(vectors.float(), dim=1), notes)
