"""With all that a CompactStyleGAN can have."""

from examples import filled
from safetensors.torch import save_file

from backends.networks.compact_stylegan import CompactStyleGAN


def settings(folder, generator):
    network = CompactStyleGAN((16, 16, 16, 16), dim=16, skip=True, eigenpictures=4, dense=1, smooth=True)
    save_file(dict(filled(network).state_dict()), folder / "weights.safetensors")
    return {"weights": str(folder / "weights.safetensors"), "size": network.size, "dim": 16}
