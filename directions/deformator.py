"""Directions that a second network recognises in pictures (Voynov and Babenko, ICML 2020)."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import load_file

from backends.generators import Generator
from config import ConfigError
from directions._cache import by_file
from directions._numbered import Components, Numbered

_read = by_file(load_file)


@dataclass
class Deformator(Numbered):
    """The columns of the deformator that `training/shifts.py` learnt, the best recognised first.

    A strength counts standard deviations of the latents, where the paper's shifts are lengths.
    """

    file: str = ""  # .safetensors of a training run, relative to the project's folder
    label: ClassVar[str] = "Deformator"

    def components(self, generator: Generator) -> Components:
        state, name = _read(self.file), Path(self.file).name
        vectors = state.get("params", torch.zeros(0, 0))
        if vectors.dim() != 2 or vectors.shape[1] != generator.dim:
            raise ConfigError(f"{name}: expected params, (directions, {generator.dim})")
        known = state.get("accuracy", state.get("told"))  # "told": files of earlier versions
        notes = [f"of {name}"] * len(vectors)
        if known is not None:
            notes = [f"accuracy {share:.0%}" for share in known.tolist()]
        return Components(torch.nn.functional.normalize(vectors.float(), dim=1), notes)
