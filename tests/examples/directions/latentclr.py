"""A global model."""

import torch


def settings(folder, generator):
    torch.save({"model": {"params": torch.eye(generator.dim)}}, folder / "model.pt")
    return {"file": str(folder / "model.pt")}
