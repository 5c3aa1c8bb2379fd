"""128 pixels; the last blocks are wide enough for the kernels."""

import torch
from examples import filled
from safetensors.torch import save_file

from backends.networks.mobilestylegan import MobileStyleGAN


def settings(folder, generator):
    network = filled(MobileStyleGAN((32, 32, 64, 64, 32), dim=16))
    with torch.no_grad():  # weights at random draw pictures of 1e18
        network.synthesis.head.weight /= 1e18
    save_file(network.state_dict(), folder / "weights.safetensors")
    return {"weights": str(folder / "weights.safetensors"), "size": 128, "layers": 14, "dim": 16}
