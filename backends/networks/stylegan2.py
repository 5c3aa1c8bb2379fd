"""StyleGAN2's generator (Karras et al., CVPR 2020) in plain torch: any size, any width, skip architecture.

The weights are *effective*: equalised learning rates, activation gains of the mapping and the style bias of
one are already in them, so what is written here is what the network computes. `backends.checkpoints`
translates the public formats. This is the definition, batched and differentiable; `stylegan2_fast.py`
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

from backends import Cut, Images
from backends.networks.mapping import SLOPE, Mapping, Shaped, series

GAIN = math.sqrt(2)  # of the leaky ReLU; positive, so that it may be moved in front of it
EPSILON = 1e-8
FILTER = [0.25, 0.75, 0.75, 0.25]  # low-pass after zero insertion: 1-3-3-1, times 2 for the inserted zeros


def fir(channels: int, like: Tensor) -> Float[Tensor, "channels 1 4 4"]:
    """FILTER in both directions."""
    taps = torch.tensor(FILTER, dtype=like.dtype, device=like.device)
    kernel = torch.outer(taps, taps).expand(channels, 1, 4, 4)
    return kernel.contiguous(memory_format=torch.channels_last)


def blur(x: Tensor, padding: int) -> Tensor:
    return F.conv2d(x, fir(x.shape[1], x), padding=padding, groups=x.shape[1])


def upsample(image: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 height width"]:
    """Twice the side through 1-3-3-1: bilinear, but with zeros outside the picture."""
    return F.interpolate(F.pad(image, (1, 1, 1, 1)), scale_factor=2, mode="bilinear")[:, :, 2:-2, 2:-2]


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


class StyleGAN2(Shaped):
    """W+ -> pictures, and the mapping; `StyleGAN2.load(state)` builds it."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.dim = dim = state["mean"].shape[1]
        channels = [state[key].shape[1] for key in series(state, "rgbs.{}.weight")]
        self.size = 2 << len(channels)
        self.layers = 2 * len(channels)
        self.mapping = Mapping.shaped(state)
        self.register_buffer("mean", torch.empty(state["mean"].shape))  # one, or one per layer (e4e)
        self.constant = nn.Parameter(torch.empty(channels[0], 4, 4))
        self.convs = nn.ModuleList([StyledConv(dim, channels[0], channels[0], 4, up=False)])
        self.rgbs = nn.ModuleList([ToRGB(dim, channels[0])])
        for level, (inputs, outputs) in enumerate(pairwise(channels), start=1):
            self.convs.append(StyledConv(dim, inputs, outputs, 4 << level, up=True))
            self.convs.append(StyledConv(dim, outputs, outputs, 4 << level, up=False))
            self.rgbs.append(ToRGB(dim, outputs))

    @classmethod
    def load(cls, state: dict[str, Tensor]) -> "StyleGAN2":
        network = super().load(state)
        for conv in network.convs:  # the memory order that the processor's convolutions want
            weight = conv.weight.data.transpose(0, 1) if conv.up else conv.weight.data
            weight = weight.contiguous(memory_format=torch.channels_last)
            conv.weight.data = weight.transpose(0, 1) if conv.up else weight
        return network

    @property
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """Layer j: the style of convolution j; the last: that of the last colours, its only reader.

        Other colours read the layers too, but SeFa (section 4) leaves them out; rosinality's own
        factorisation takes the first of them in, which changes its directions a little.
        """
        return [conv.get_parameter("style.weight") for conv in [*self.convs, self.rgbs[-1]]]

    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """Layer j of the latents feeds convolution j, and for odd j the colours of the resolution before it.

        The last layer is read by colours alone: its maps are these, at full size.
        """
        x = self.constant.expand(len(latents), -1, -1, -1).contiguous(memory_format=torch.channels_last)
        return self.advanced(Cut(-1, x), latents, layer)

    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """The picture behind a cut; a preview is that of the resolution before the last."""
        if preview:
            image = self.advanced(cut, latents, self.layers - 3).skip
            assert image is not None, "a generator of 4 x 4 pixels has no previews"
            return image
        cut = self.advanced(cut, latents, self.layers - 1)
        return cut.maps if cut.skip is None else upsample(cut.skip) + cut.maps

    def forward(self, latents: Float[Tensor, "n layers dim"]) -> Images:
        """Differentiable in latents and weights."""
        return self.resume(self.cut(latents, 0), latents)

    def advanced(self, cut: Cut, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """`cut`, moved on to `layer` (or as it is, if that lies behind)."""
        x, image = cut.maps, cut.skip
        for j in range(cut.layer + 1, layer + 1):
            w, rgb = latents[:, j], self.rgbs[j // 2]
            if j == len(self.convs):
                x = rgb(x, w)
                continue
            if j % 2:
                image = rgb(x, w) if image is None else upsample(image) + rgb(x, w)
            x = self.convs[j](x, w)
        return Cut(max(cut.layer, layer), x, image)
