"""In NVIDIA's format."""

import torch
from synthetic_checkpoints import nvidia


def settings(folder, generator):
    torch.save(nvidia([16, 16, 32, 32, 32], 16), folder / "weights.pt")
    return {"weights": str(folder / "weights.pt")}
