"""Three attributes."""

import torch

from directions._stored import Stored, write


def settings(folder, generator):
    vectors = torch.eye(generator.dim)
    names = ("smile", "age", "gender")
    write(folder / "toy.safetensors", {name: Stored(vectors[i : i + 1]) for i, name in enumerate(names)})
    return {"file": str(folder / "toy.safetensors")}
