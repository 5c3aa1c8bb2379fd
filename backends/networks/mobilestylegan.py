"""MobileStyleGAN (Belousov, arXiv:2104.04767): StyleGAN2 distilled into separable convolutions and wavelets.

Layer 0 of W+ sets the first convolution, layers 3i + 1, 3i + 2 and 3i + 3 set the upsampling and the two
convolutions of block i, the last layer sets the output convolution. Demodulation
and noise are constants of the distilled network, so the same latent always gives the same picture.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportReturnType=false

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backends import Cut, Images
from backends.networks.mapping import series

SLOPE = 0.2  # of every LeakyReLU; unlike StyleGAN2 the synthesis network applies no gain after it
BASE = 4  # side of the constant input, pixels
CHANNELS = (512, 512, 512, 512, 512, 256, 128, 64)  # of the published network at 4, 8, ..., 512 pixels


def inverse_haar(x: Float[Tensor, "n channels height width"]) -> Float[Tensor, "n bands rows columns"]:
    """The picture of twice the size whose Haar bands are `x`: all low bands, then three details per channel.

    Details are ordered vertical, horizontal, diagonal; 1/2 is the product of the two orthonormal 1/sqrt(2).
    """
    low, details = x.split([x.shape[1] // 4, x.shape[1] // 4 * 3], dim=1)
    vertical, horizontal, diagonal = details.unflatten(1, (-1, 3)).unbind(2)
    upper, lower = low + vertical, low - vertical  # mean of either row of each 2x2 square
    rise, fall = horizontal + diagonal, horizontal - diagonal  # change along it
    square = torch.stack([upper + rise, upper - rise, lower + fall, lower - fall], dim=2)
    return functional.pixel_shuffle(square.flatten(1, 2) / 2, 2)


class Modulation(nn.Linear):
    """The affine layer from a style vector to one scale per channel (StyleGAN's A)."""


class FirstConvolution(nn.Module):
    """Modulated 3x3 convolution of the learned constant at 4x4."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.constant = nn.Parameter(torch.randn(channels, BASE, BASE))
        self.modulation = Modulation(dim, channels)
        self.weight = nn.Parameter(torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5)
        self.noise = nn.Parameter(torch.zeros(BASE, BASE))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, w: Float[Tensor, "n dim"]) -> Float[Tensor, "n channels 4 4"]:
        x = self.constant * self.modulation(w)[:, :, None, None]
        x = functional.conv2d(x, self.weight, padding=1)
        return functional.leaky_relu(x + self.noise + self.bias[:, None, None], SLOPE)


class SeparableConvolution(nn.Module):
    """Modulate, depthwise 3x3, pointwise, noise, bias, LeakyReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, dim: int) -> None:
        super().__init__()
        self.modulation = Modulation(dim, inputs)
        self.depthwise = nn.Parameter(torch.randn(inputs, 1, 3, 3) / 3)
        self.pointwise = nn.Parameter(torch.randn(outputs, inputs, 1, 1) * (2 / inputs) ** 0.5)
        self.noise = nn.Parameter(torch.zeros(size, size))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(
        self, x: Float[Tensor, "n inputs size size"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n outputs size size"]:
        scales, depthwise = self.modulation(w), self.depthwise
        if len(x) == 1:  # the scales then fit into the weights: one large product less to keep for gradients
            depthwise = depthwise * scales[0, :, None, None, None]
        else:
            x = x * scales[:, :, None, None]
        x = functional.conv2d(x, depthwise, padding=1, groups=x.shape[1])
        x = functional.conv2d(x, self.pointwise, self.bias)
        return functional.leaky_relu_(x.add_(self.noise), SLOPE)


class Block(nn.Module):
    """Doubles the side: modulated inverse Haar transform, then two convolutions. Reads three layers."""

    def __init__(
        self, inputs: int, outputs: int, size: int, dim: int, convolution: Any = SeparableConvolution
    ) -> None:
        super().__init__()
        self.up = Modulation(dim, inputs)
        self.conv1 = convolution(inputs // 4, outputs, size, dim)
        self.conv2 = convolution(outputs, outputs, size, dim)

    def forward(
        self, x: Float[Tensor, "n inputs half half"], styles: Float[Tensor, "n 3 dim"]
    ) -> Float[Tensor, "n outputs size size"]:
        up, first, second = styles.unbind(1)
        return self.conv2(self.conv1(self.raised(x, up), first), second)

    def raised(
        self, x: Float[Tensor, "n inputs half half"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n bands size size"]:
        """The upsampling alone."""
        return inverse_haar(x * self.up(w)[:, :, None, None])


class Head(nn.Module):
    """Modulated pointwise convolution to the four Haar bands of the picture."""

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        self.modulation = Modulation(dim, channels)
        self.weight = nn.Parameter(torch.randn(12, channels, 1, 1) / channels**0.5)
        self.bias = nn.Parameter(torch.zeros(12))

    def forward(
        self, x: Float[Tensor, "n channels size size"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n 12 size size"]:
        return functional.conv2d(x * self.modulation(w)[:, :, None, None], self.weight, self.bias)


class Mapping(nn.Module):
    """Z -> W: eight fully connected layers on the normalised vector (learning rates folded in)."""

    def __init__(self, dim: int, depth: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(dim, dim) for _ in range(depth))
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(dim))  # of W, over the normal distribution of z

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        x = z * torch.rsqrt(z.square().mean(1, keepdim=True) + 1e-8)
        for layer in self.layers:
            x = functional.leaky_relu(layer(x), SLOPE) * 2**0.5
        return x


class Synthesis(nn.Module):
    """W+ -> picture. `channels` lists the width at 4, 8, 16, ... pixels; the picture is twice the last."""

    def __init__(
        self,
        channels: tuple[int, ...] = CHANNELS,
        dim: int = 512,
        block: Callable[[int, int, int, int], Block] = Block,
        mapping: Mapping | None = None,
    ) -> None:
        """`block` makes a block of its inputs, outputs, side and `dim`; `mapping` precedes all in files."""
        super().__init__()
        self.channels = channels
        if mapping is not None:
            self.add_module("mapping", mapping)
        self.first = FirstConvolution(channels[0], dim)
        self.blocks = nn.ModuleList(
            block(inputs, outputs, BASE * 2 ** (i + 1), dim)
            for i, (inputs, outputs) in enumerate(pairwise(channels))
        )
        self.head = Head(channels[-1], dim)

    @property
    def layers(self) -> int:
        """Style vectors per picture."""
        return 3 * len(self.blocks) + 2

    @property
    def modulations(self) -> list[Modulation]:
        """The affine layer of each layer of the latent."""
        inner = [
            m for block in self.blocks for m in (block.up, block.conv1.modulation, block.conv2.modulation)
        ]
        return [self.first.modulation, *inner, self.head.modulation]

    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """Feature maps after an upsampling or a convolution; of the last layer the picture's Haar bands."""
        return self.advanced(Cut(0, self.first(latents[:, 0])), latents, layer)

    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """The picture behind a cut, or one of half the side, each pixel the mean of four."""
        bands = self.advanced(cut, latents, self.layers - 1).maps
        return bands[:, :3] / 2 if preview else inverse_haar(bands)

    def synthesize(self, latents: Float[Tensor, "n layers dim"]) -> Images:
        """W+ -> pictures, about [-1, 1]."""
        return self.resume(self.cut(latents, 0), latents)

    def forward(self, latents: Float[Tensor, "n layers dim"]) -> Images:
        return self.synthesize(latents)

    def advanced(self, cut: Cut, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """`cut`, moved on to `layer`."""
        x = cut.maps
        for each in range(cut.layer + 1, layer + 1):
            x = self.after_layer(x, latents, each)
        return Cut(layer, x)

    def after_layer(
        self, x: Float[Tensor, "n inputs _ _"], latents: Float[Tensor, "n layers dim"], layer: int
    ) -> Float[Tensor, "n outputs _ _"]:
        """What `layer` (not the first) makes of the maps after the layer before."""
        if layer == self.layers - 1:
            return self.head(x, latents[:, layer])
        block = self.blocks[(layer - 1) // 3]
        return (block.raised, block.conv1, block.conv2)[(layer - 1) % 3](x, latents[:, layer])


def channels_of(state: dict[str, Tensor], prefix: str = "") -> tuple[int, ...]:
    """The widths of the synthesis network whose keys start with `prefix`. Raises KeyError."""
    keys = [f"{prefix}first.bias", *series(state, prefix + "blocks.{}.conv2.bias")]
    return tuple(len(state[key]) for key in keys)


class MobileStyleGAN(nn.Module):
    """Mapping and synthesis networks: as the converted weights hold them."""

    def __init__(self, channels: tuple[int, ...] = CHANNELS, dim: int = 512) -> None:
        super().__init__()
        self.mapping = Mapping(dim)
        self.synthesis = Synthesis(channels, dim)

    @property
    def mean(self) -> Float[Tensor, " dim"]:
        """Average w, for the truncation trick."""
        return self.mapping.mean

    @property
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """What multiplies the vector of each layer of W+."""
        return [modulation.weight for modulation in self.synthesis.modulations]
