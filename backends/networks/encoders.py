"""Which encoder a state dict is, told from its keys; all of them map pictures of 256 pixels to W+."""

from torch import Tensor, nn

from backends.networks.e4e import PyramidEncoder, SingleStyleEncoder
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


def load(state: dict[str, Tensor]) -> nn.Module:
    """The encoder with these weights, for inference. Has `channels`, `rows` and `dim`.

    Raises KeyError or RuntimeError when they fit no encoder.
    """
    networks = {
        "pyramid": PyramidEncoder,
        "single": SingleStyleEncoder,
        "idinvert": IDInvertEncoder,
        "image_to_latent": ImageToLatent,
    }
    return networks[kind(state)].load(state)
