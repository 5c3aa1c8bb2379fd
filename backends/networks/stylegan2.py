"""StyleGAN2's generator (Karras et al., CVPR 2020) in plain torch: any size, any width, skip architecture.

The weights are *effective*: equalised learning rates, activation gains of the mapping and the style bias of
one are already in them, so what is written here is what the network computes. `backends.checkpoints`
translates the public layouts. This is the definition, batched and differentiable; `stylegan2_fast.py`
computes the same faster, one picture at a time.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportCallIssue=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends.networks.mapping import SLOPE, Mapping, series
from backends.networks.resampling import blur, upsample

GAIN = math.sqrt(2)  # of the leaky ReLU; positive, so that it may be moved in front of it
EPSILON = 1e-8


class StyledConv(nn.Module):
    """Modulated convolution (section 2.2, equations 1-3), noise, bias, leaky ReLU; some upsample.

    `weight` of an upsampling layer is meant for conv_transpose2d, as rosinality and NVIDIA's PyTorch code
    store it; the TensorFlow code and genforce store it turned by 180 degrees.
    """

    def __init__(self, dim: int, inputs: int, outputs: int, side: int, up: bool) -> None:
        super().__init__()
        self.up = up
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.style = nn.Linear(dim, inputs)
        self.strength = nn.Parameter(torch.empty(()))
        self.register_buffer("noise", torch.empty(side, side))

    def demodulation(
        self, scales: Float[Tensor, "n inputs"], energy: Float[Tensor, "outputs inputs"] | None = None
    ) -> Float[Tensor, "n outputs"]:
        """Equation 3: what brings each output channel back to unit standard deviation.

        All that it needs of the weights is each kernel's sum of squares, which a caller may have kept.
        """
        energy = self.weight.square().sum((2, 3)) if energy is None else energy
        return torch.rsqrt(scales.square() @ energy.T + EPSILON)

    def forward(
        self, x: Float[Tensor, "n inputs h w"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n outputs side side"]:
        # Scaling the activations, not the weights, is the same function and one convolution for the batch.
        scales = self.style(w)
        x = self.convolved(x * scales[:, :, None, None])
        x = x * self.demodulation(scales)[:, :, None, None]
        x = x + self.noise * self.strength + self.bias[:, None, None]
        return F.leaky_relu(x, SLOPE) * GAIN

    def convolved(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs side side"]:
        """The convolution alone, with what makes it upsample."""
        if not self.up:
            return F.conv2d(x, self.weight, padding=1)
        return blur(F.conv_transpose2d(x, self.weight.transpose(0, 1), stride=2), padding=1)


class ToRGB(nn.Module):
    """Modulated 1x1 convolution to colours, without demodulation."""

    def __init__(self, dim: int, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(3, inputs))
        self.bias = nn.Parameter(torch.empty(3))
        self.style = nn.Linear(dim, inputs)

    def forward(
        self, x: Float[Tensor, "n inputs h w"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n 3 h w"]:
        if len(x) == 1:  # the scales go into the weights, which are smaller than the activations
            return F.conv2d(x, (self.weight * self.style(w))[:, :, None, None], self.bias)
        return F.conv2d(x * self.style(w)[:, :, None, None], self.weight[:, :, None, None], self.bias)


class StyleGAN2(nn.Module):
    """Weights by shape: build with `StyleGAN2.load(state)`."""

    def __init__(self, mapping: list[tuple[int, int]], dim: int, channels: list[int]) -> None:
        """`mapping`: (inputs, outputs) per layer; `channels`: width of each resolution, 4 x 4 first."""
        super().__init__()
        self.dim = dim
        self.size = 2 << len(channels)
        self.layers = 2 * len(channels)
        self.mapping = Mapping(*(nn.Linear(*shape) for shape in mapping))
        self.register_buffer("mean", torch.empty(1, dim))
        self.constant = nn.Parameter(torch.empty(channels[0], 4, 4))
        self.convs = nn.ModuleList([StyledConv(dim, channels[0], channels[0], 4, up=False)])
        self.rgbs = nn.ModuleList([ToRGB(dim, channels[0])])
        for level, (inputs, outputs) in enumerate(pairwise(channels), start=1):
            self.convs.append(StyledConv(dim, inputs, outputs, 4 << level, up=True))
            self.convs.append(StyledConv(dim, outputs, outputs, 4 << level, up=False))
            self.rgbs.append(ToRGB(dim, outputs))

    @classmethod
    def load(cls, state: dict[str, Tensor]) -> "StyleGAN2":
        """The network of this canonical state: its sizes are the shapes; tensors are used, not copied."""
        shapes = [state[key].shape for key in series(state, "mapping.{}.weight")]
        channels = [state[key].shape[1] for key in series(state, "rgbs.{}.weight")]
        with torch.device("meta"):
            network = cls([(i, o) for o, i in shapes], state["mean"].shape[1], channels)
        network.mean = state["mean"]  # one row, or one per layer (e4e)
        network.load_state_dict(state, assign=True)
        for conv in network.convs:  # the memory order that the processor's convolutions want
            weight = conv.weight.data.transpose(0, 1) if conv.up else conv.weight.data
            weight = weight.contiguous(memory_format=torch.channels_last)
            conv.weight.data = weight.transpose(0, 1) if conv.up else weight
        return network.requires_grad_(False).eval()

    def rows(self, z: Float[Tensor, "n z_dim"]) -> Float[Tensor, "n layers dim"]:
        """W+ of z: the same w on every row."""
        return self.mapping(z)[:, None].repeat(1, self.layers, 1)

    def forward(self, latents: Float[Tensor, "n layers dim"]) -> Float[Tensor, "n 3 size size"]:
        """Differentiable in `latents` and in the weights.

        Row j feeds convolution j; colours of a resolution read the row after its last convolution, which the
        next resolution's first convolution reads too. Only the last row is read by colours alone.
        """
        x = self.constant.expand(len(latents), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        x = self.convs[0](x, latents[:, 0])
        image = self.rgbs[0](x, latents[:, 1])
        for level in range(1, len(self.rgbs)):
            x = self.convs[2 * level - 1](x, latents[:, 2 * level - 1])
            x = self.convs[2 * level](x, latents[:, 2 * level])
            image = upsample(image) + self.rgbs[level](x, latents[:, 2 * level + 1])
        return image
