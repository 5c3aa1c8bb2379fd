"""Which encoder a state dict is, told from its keys; all of them map pictures of 256 pixels to W+."""

import torch
from torch import Tensor, nn

from backends.networks.e4e import PyramidEncoder, SingleStyleEncoder
from backends.networks.e4e_fast import FastEncoder
from backends.networks.idinvert import IDInvertEncoder
from backends.networks.image_to_latent import ImageToLatent

PLUGIN = "inverters/encoder"  # that runs them
SIGNS = {  # two keys that only this encoder has together
    "pyramid": ("input_layer.0.weight", "styles.0.linear.weight"),
    "single": ("input_layer.0.weight", "linear.weight"),
    "idinvert": ("block0.conv.weight", "block1.wscale1.bias"),
    "image_to_latent": ("resnet.0.weight", "dense2.weight"),
}


def kind(state: dict[str, Tensor]) -> str:
    """A key of SIGNS, or "" for something else."""
    return next((name for name, signs in SIGNS.items() if all(sign in state for sign in signs)), "")


def load(state: dict[str, Tensor], fast: bool = True) -> nn.Module:
    """The encoder with these weights, for inference. Has `channels`, `rows` and `dim`.

    Raises KeyError or RuntimeError when they fit no encoder. `fast=False` keeps the network as its authors
    defined it, for tests and training.
    """
    networks = {
        "pyramid": PyramidEncoder,
        "single": SingleStyleEncoder,
        "idinvert": IDInvertEncoder,
        "image_to_latent": ImageToLatent,
    }
    network = networks[kind(state)].load(state)
    on_processor = next(network.parameters()).device == torch.device("cpu")
    return FastEncoder(network) if fast and on_processor and isinstance(network, PyramidEncoder) else network
