"""An encoder that looks at random."""

import torch
from safetensors.torch import save_file

from backends.networks.linear_encoder import LinearEncoder


def settings(folder, generator):
    encoder = LinearEncoder(generator.z_dim)
    source = torch.Generator().manual_seed(0)
    encoder.basis = torch.randn(generator.z_dim, encoder.basis.shape[1], generator=source) / 50
    save_file(encoder.state_dict(), folder / "encoder.safetensors")
    return {"weights": str(folder / "encoder.safetensors"), "draws": 4}
