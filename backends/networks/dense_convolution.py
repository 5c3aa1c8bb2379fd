"""StyleGAN's modulated convolution with a dense kernel, for the finest blocks of a CompactStyleGAN."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportReturnType=false

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backends.networks.mobilestylegan import SLOPE, Modulation

SPREAD = 0.3  # of the scales of a new layer, for w of unit spread
GAIN = 2**0.5  # makes up for what LeakyReLU takes
EPSILON = 1e-8


class DenseConvolution(nn.Module):
    """Modulated 3x3 convolution, bias, LeakyReLU.

    Scales and kernels are normalised before they meet (StyleGAN3, appendix), which holds the maps at unit
    variance as StyleGAN2's demodulation does, without another pass over them.
    """

    def __init__(self, inputs: int, outputs: int, dim: int) -> None:
        super().__init__()
        self.modulation = Modulation(dim, inputs)
        nn.init.normal_(self.modulation.weight, std=SPREAD * dim**-0.5)
        nn.init.ones_(self.modulation.bias)
        self.kernel = nn.Parameter(torch.randn(outputs, inputs, 3, 3) / (9 * inputs) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: Float[Tensor, "n inputs size size"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n outputs size size"]:
        scales = self.modulation(w)
        scales = scales * (scales.square().mean(1, keepdim=True) + EPSILON).rsqrt()
        energy = self.kernel.square().sum((1, 2, 3), keepdim=True)
        kernel = self.kernel * (GAIN * (energy + EPSILON).rsqrt())
        x = functional.conv2d(x * scales[:, :, None, None].to(x.dtype), kernel, self.bias, padding=1)
        return functional.leaky_relu(x, SLOPE)
