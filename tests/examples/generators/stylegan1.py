"""In genforce's format."""

import torch
from synthetic_checkpoints import stylegan1


def settings(folder, generator):
    torch.save(stylegan1([6, 6, 6, 4], 16, "genforce"), folder / "weights.pt")
    return {"weights": str(folder / "weights.pt")}
