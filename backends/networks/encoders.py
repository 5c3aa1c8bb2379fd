"""Which encoder a state dict is, told from its keys; all of them map pictures of 256 pixels to W+."""

from typing import Any

from torch import Tensor

from backends.networks.e4e import PyramidEncoder, SingleStyleEncoder
from backends.networks.idinvert import IDInvertEncoder
from backends.networks.image_to_latent import ImageToLatent
from backends.networks.lite_encoder import LiteEncoder

PLUGIN = "inverters/encoder"  # that runs them
ENCODERS = {  # the network, and two keys that only it has together
    "pyramid": (PyramidEncoder, "input_layer.0.weight", "styles.0.linear.weight"),
    "single": (SingleStyleEncoder, "input_layer.0.weight", "linear.weight"),
    "idinvert": (IDInvertEncoder, "block0.conv.weight", "block1.wscale1.bias"),
    "image_to_latent": (ImageToLatent, "resnet.0.weight", "dense2.weight"),
    "lite": (LiteEncoder, "trunk.stem.weight", "base.weight"),
}


def kind(state: dict[str, Tensor]) -> str:
    """A key of ENCODERS, or "" for something else."""
    return next((name for name, (_, *keys) in ENCODERS.items() if state.keys() >= set(keys)), "")


def load(state: dict[str, Tensor]) -> Any:
    """The encoder with these weights, for inference. Has `channels`, `layers` and `dim`.

    Beside the public keys `deltas` may say whether the heads add to the first one, as e4e's do; so they are
    taken to do without it. Raises KeyError, IndexError or RuntimeError when they fit no encoder.
    """
    weights = {key: value for key, value in state.items() if key not in ("deltas", "latent_avg")}
    network = ENCODERS[kind(state)][0].load(weights)
    network.deltas = bool(state.get("deltas", True))
    return network
