"""A classifier that calls bright places the subject."""

import torch
from safetensors.torch import save_file


def settings(folder, generator):
    channels, layer = generator.cut(generator.mean(), 2).maps.shape[1], 2
    state = {"weight": torch.ones(1, channels, 1, 1), "bias": torch.zeros(1), "layer": torch.tensor(layer)}
    save_file(state, folder / "subject.safetensors")
    return {"weights": str(folder / "subject.safetensors")}
