"""StyleGAN2's generator (Karras et al., CVPR 2020) in plain torch: any size, any width, skip architecture.

The weights are *effective*: equalised learning rates, activation gains of the mapping and the style bias of
one are already in them, so what is written here is what the network computes. `backends.checkpoints`
translates the public layouts. Two paths give the same numbers: `forward` is batched and differentiable,
`render` runs one picture at a time, as fast as a processor allows.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportCallIssue=false
# pyright: reportIndexIssue=false
# pyright: reportOperatorIssue=false

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends.networks import winograd
from backends.networks.mapping import SLOPE, Mapping, series
from backends.networks.resampling import FILTER, blur, fir, rows, upsample

GAIN = math.sqrt(2)  # of the leaky ReLU; positive, so that it may be moved in front of it
EPSILON = 1e-8
STRIP_BYTES = 4 << 20  # one strip's activations in `render`: they stay in the processor's cache


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
        self._kept: dict[str, tuple[tuple[int, int], Tensor]] = {}

    def kept(self, name: str, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """What `compute` makes of the weights, kept until they change (fine-tuning changes them in place)."""
        version = (self.weight.data_ptr(), self.weight._version)
        if name not in self._kept or self._kept[name][0] != version:
            self._kept[name] = (version, compute(self.weight.detach()))
        return self._kept[name][1]

    def energy(self) -> Float[Tensor, "outputs inputs"]:
        """Sum of squares of each kernel: all that demodulation needs."""
        if torch.is_grad_enabled() and self.weight.requires_grad:
            return squares(self.weight)
        return self.kept("energy", squares)

    def demodulation(self, scales: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        """Equation 3: what brings each output channel back to unit standard deviation."""
        return torch.rsqrt(scales.square() @ self.energy().T + EPSILON)

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

    def folded(self, w: Float[Tensor, "1 dim"]) -> Float[Tensor, "outputs inputs 3 3"]:
        """The weights of one picture: style, demodulation and gain in them (equations 1 and 3)."""
        scales = self.style(w)
        return self.weight * (GAIN * self.demodulation(scales).T * scales)[:, :, None, None]

    @property
    def whole(self) -> bool:
        """Whether Winograd's algorithm pays, which takes whole pictures."""
        # The four kernels of an upsampling layer take longer to fetch, so they need more pixels to use them.
        return winograd.pays(self.weight, len(self.noise) // 4 if self.up else len(self.noise))

    def render(self, x: Float[Tensor, "1 inputs h w"], w: Float[Tensor, "1 dim"]) -> Tensor:
        """The layer of a whole picture, on the fastest way."""
        scales = self.style(w)  # goes into the activations, which are smaller than the weights here
        x = x * scales[:, :, None, None]
        if self.whole:
            y = winograd.convolve(x, self.kept("winograd", self._transformed), self.up)
        else:
            y = self.convolved(x)
        y.mul_(GAIN * self.demodulation(scales)[:, :, None, None]).add_(GAIN * self.bias[:, None, None])
        return self.finish(y, 0)

    def _transformed(self, weight: Tensor) -> Tensor:
        return winograd.transform(winograd.polyphase(weight, FILTER) if self.up else weight)

    def finish(self, x: Tensor, first: int) -> Tensor:
        """In place: noise from image row `first` on and the leaky ReLU (bias and gain are in `x` already)."""
        noise = self.noise[first : first + x.shape[2]]
        return F.leaky_relu_(x.add_(noise, alpha=GAIN * float(self.strength)), SLOPE)

    def upsampled(
        self, x: Tensor, weight: Float[Tensor, "inputs outputs 3 3"], top: int, end: int
    ) -> Float[Tensor, "1 outputs h side"]:
        """Rows `top` ... `end` - 1 of this layer's output, from all of its input and its folded weights."""
        # Row p needs rows p - 1 ... p + 2 of the transposed convolution; its row m, m / 2 - 1 and m / 2.
        low, high = max((top - 3) // 2, 0), min((end + 1) // 2 + 1, x.shape[2])
        y = F.conv_transpose2d(x[:, :, low:high], weight, stride=2)  # rows 2 low ... 2 high
        y = rows(y, top - 1 - 2 * low, end + 2 - 2 * low)
        channels = y.shape[1]
        y = F.conv2d(y, fir(channels, y), GAIN * self.bias, padding=(0, 1), groups=channels)
        return self.finish(y, top)


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


def squares(weight: Float[Tensor, "outputs inputs 3 3"]) -> Float[Tensor, "outputs inputs"]:
    return weight.square().sum((2, 3))


workers = cache(lambda: ThreadPoolExecutor(2, "strips"))  # made when first needed


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

    @torch.no_grad()
    def render(
        self, latents: Float[Tensor, "n layers dim"], levels: int | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """The same pictures without gradients; with `levels`, only the first resolutions (4 is the first)."""
        pictures = [self._render(row[None], levels or len(self.rgbs)) for row in latents]
        return torch.cat(pictures) if len(pictures) != 1 else pictures[0].contiguous()

    def _render(self, latents: Float[Tensor, "1 layers dim"], levels: int) -> Float[Tensor, "1 3 h w"]:
        w = latents.transpose(0, 1)  # (layers, 1, dim)
        x = self.constant[None].contiguous(memory_format=torch.channels_last)
        x = self.convs[0].render(x, w[0])
        image = self.rgbs[0](x, w[1])
        for level in range(1, levels):
            x, image = self._level(level, x, image, w, keep=level + 1 < levels)
        return image

    def _level(self, level: int, x: Tensor, image: Tensor, w: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        """One resolution; large ones in strips that stay in the cache from first operation to colours."""
        up, conv, rgb = self.convs[2 * level - 1], self.convs[2 * level], self.rgbs[level]
        side, channels = 4 << level, conv.bias.numel()
        image = upsample(image)
        height = min(side, max(8, STRIP_BYTES // (4 * channels * side) // 8 * 8))
        if height == side or conv.whole:
            x = conv.render(up.render(x, w[2 * level - 1]), w[2 * level])
            return x, image + rgb(x, w[2 * level + 1])
        middle = up.render(x, w[2 * level - 1]) if up.whole else None
        up_weight, weight = up.folded(w[2 * level - 1]).transpose(0, 1), conv.folded(w[2 * level])
        features = torch.empty(1, channels, side, side, memory_format=torch.channels_last) if keep else x

        @torch.no_grad()  # which threads do not inherit
        def strip(a: int) -> None:
            b = min(a + height, side)
            if middle is None:
                top, end = max(a - 1, 0), min(b + 1, side)  # rows that the second convolution sees
                y = rows(up.upsampled(x, up_weight, top, end), a - 1 - top, b + 1 - top)
            else:
                y = rows(middle, a - 1, b + 1)
            y = conv.finish(F.conv2d(y, weight, GAIN * conv.bias, padding=(0, 1)), a)
            image[:, :, a:b] += rgb(y, w[2 * level + 1])
            if keep:
                features[:, :, a:b] = y

        # Two strips at a time: while one copies or pads on one core, the other keeps the second core busy.
        list(workers().map(strip, range(0, side, height)))
        return features, image
