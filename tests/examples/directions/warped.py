"""Six warps around the origin."""

import torch
from safetensors.torch import save_file

from directions.warped import Warps


def settings(folder, generator):
    warps = Warps(6, 2, torch.eye(generator.dim), torch.zeros(generator.dim))
    save_file(warps.state_dict(), folder / "warps.safetensors")
    return {"file": str(folder / "warps.safetensors")}
