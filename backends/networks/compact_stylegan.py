"""A small StyleGAN: the layers of MobileStyleGAN, any widths, cheap to train on a processor.

Same rows of W+ and same keys as `mobilestylegan.Synthesis`, so that its layers can be copied over. The
difference is in the arithmetic: modulation, noise and bias go into one batched matrix product, which saves
two of every three passes over the activations, and channels come last in memory, where depthwise kernels are
fastest.

Two things differ on purpose. The inverse Haar transform draws a grid: a detail band whose mean is not zero
(after a LeakyReLU none is) alternates from pixel to pixel, and at a coarse layer from block to block. So it
is followed by a low-pass filter that has no gain at the Nyquist frequency (`smooth_haar`; Karras et al.,
NeurIPS 2021, on aliasing). And the finest blocks may have dense convolutions: a processor that multiplies
matrices of bfloat16 does their nine times the arithmetic in the time that depthwise kernels need to move
memory.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportCallIssue=false
# pyright: reportReturnType=false

from collections.abc import Mapping as Dictionary
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backends import Cut, Images
from backends.networks.eigenpictures import Layout, enlarged
from backends.networks.linear_encoder import SIDE
from backends.networks.mobilestylegan import (
    BASE,
    SLOPE,
    FirstConvolution,
    Head,
    Mapping,
    Modulation,
    after_row,
    inverse_haar,
)

DIM = 512  # of z and w: that of the face network
DEPTH = 2  # layers of the mapping: few photographs, short training
LAID = 2  # blocks after which features have half the side of a layout, and take it in
SPREAD = 0.3  # of the scales of a new dense convolution, for w of unit spread
GAIN = 2**0.5  # makes up for what LeakyReLU takes
EPSILON = 1e-8
# low-pass filters without gain at the Nyquist frequency; the second is nearly flat up to half of it
SOFT = (0.25, 0.5, 0.25)  # for maps
FLAT = (-0.0625, 0.25, 0.625, 0.25, -0.0625)  # for pictures


def smooth_haar(channels: int, taps: tuple[float, ...]) -> Float[Tensor, "channels quarter kernel kernel"]:
    """The inverse Haar transform and a filter after it, as one transposed convolution of stride 2."""
    squares = inverse_haar(torch.eye(channels)[:, :, None, None])  # what each band draws, 2 x 2 pixels
    low_pass = torch.outer(torch.tensor(taps), torch.tensor(taps)).expand(channels // 4, 1, -1, -1)
    return functional.conv2d(squares, low_pass, padding=len(taps) - 1, groups=channels // 4)


class PointwiseConvolution(nn.Module):
    """Depthwise 3x3, then a modulated 1x1 convolution with noise and bias, then LeakyReLU.

    Scaling a channel before or after its own depthwise kernel is the same, so the style may be folded into
    the columns of the pointwise matrix: one (inputs x outputs) matrix per picture instead of one more
    activation map.
    """

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
        x = functional.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
        if x[0, 0].numel() < len(self.bias):  # small maps are cheaper to scale than the matrix
            x = x * self.modulation(w)[:, :, None, None]
            x = functional.conv2d(x, self.pointwise, self.bias)
            return functional.leaky_relu(x + self.noise.to(x.dtype), SLOPE)
        rows = x.permute(0, 2, 3, 1).flatten(1, 2)  # (n, pixels, inputs)
        columns = self.modulation(w)[:, :, None] * self.pointwise.flatten(1).T  # (n, inputs, outputs)
        shift = self.noise.flatten()[:, None] + self.bias  # (pixels, outputs)
        out = torch.baddbmm(shift.to(columns.dtype), rows, columns).unflatten(1, x.shape[2:])
        return functional.leaky_relu(out, SLOPE).permute(0, 3, 1, 2)


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


class Block(nn.Module):
    """Doubles the side: modulated inverse Haar transform, two convolutions. Reads three rows."""

    def __init__(
        self, inputs: int, outputs: int, size: int, dim: int, dense: bool = False, smooth: bool = False
    ) -> None:
        """`dense`: convolutions are not separable; `smooth`: the upsampling draws no grid."""
        super().__init__()
        self.up = Modulation(dim, inputs)
        self.register_buffer("haar", smooth_haar(inputs, SOFT) if smooth else None, persistent=False)
        widths = ((inputs // 4, outputs), (outputs, outputs))
        self.conv1, self.conv2 = (
            DenseConvolution(a, b, dim) if dense else PointwiseConvolution(a, b, size, dim) for a, b in widths
        )

    def forward(
        self, x: Float[Tensor, "n inputs half half"], rows: Float[Tensor, "n 3 dim"]
    ) -> Float[Tensor, "n outputs size size"]:
        up, first, second = rows.unbind(1)
        return self.conv2(self.conv1(self.raised(x, up), first), second)

    def raised(
        self, x: Float[Tensor, "n inputs half half"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n bands size size"]:
        """The upsampling alone."""
        x = x * self.up(w)[:, :, None, None]
        x = inverse_haar(x) if self.haar is None else functional.conv_transpose2d(x, self.haar, None, 2, 1)
        return x.contiguous(memory_format=torch.channels_last)


class CompactStyleGAN(nn.Module):
    """`channels` lists the width at 4, 8, 16, ... pixels; pictures have twice the side of the last of them.

    With `skip`, for networks that have grown, the last block only adds to a picture of half the size that is
    drawn from the features before it: that picture is the low band of the result (as in SWAGAN, Gal et al.,
    2021). With `layout` principal pictures (`layout.py`), what they draw is added to the features of 16 x 16
    pixels and to the result; the first row of W+ sets it.
    """

    def __init__(
        self,
        channels: tuple[int, ...],
        dim: int = DIM,
        skip: bool = False,
        depth: int = DEPTH,
        layout: int = 0,
        dense: int = 0,
        smooth: bool = False,
    ) -> None:
        """`depth`: layers of the mapping; `dense`: how many of the last blocks have dense convolutions.

        Raises ValueError: a layout needs pictures of 32 pixels or more.
        """
        super().__init__()
        if layout and len(channels) <= LAID:
            raise ValueError(f"layout: pictures of {SIDE} pixels or more have one")
        self.channels = channels
        self.mapping = Mapping(dim, depth)
        self.first = FirstConvolution(channels[0], dim)
        separable = len(channels) - 1 - dense
        self.blocks = nn.ModuleList(
            Block(inputs, outputs, BASE * 2 ** (i + 1), dim, i >= separable, smooth)
            for i, (inputs, outputs) in enumerate(pairwise(channels))
        )
        # says in files that there is a filter after every inverse Haar transform
        self.register_buffer("smooth", torch.ones(()) if smooth else None)
        self.register_buffer("haar", smooth_haar(12, FLAT) if smooth else None, persistent=False)
        self.head = Head(channels[-1], dim)
        self.base = nn.Conv2d(channels[-2], 12, 1) if skip else None
        self.layout = Layout(layout, dim) if layout else None
        self.injection = nn.Conv2d(12, channels[LAID], 1) if layout else None

    @property
    def mean(self) -> Float[Tensor, " dim"]:
        """Average w, for the truncation trick."""
        return self.mapping.mean

    @property
    def size(self) -> int:
        """Side of the picture, pixels."""
        return BASE * 2 ** len(self.channels)

    @property
    def layers(self) -> int:
        """Style vectors per picture: rows of W+."""
        return 3 * len(self.blocks) + 2

    @property
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """What multiplies each row of the latent."""
        inner = [
            m for block in self.blocks for m in (block.up, block.conv1.modulation, block.conv2.modulation)
        ]
        weights = [m.weight for m in (self.first.modulation, *inner, self.head.modulation)]
        if self.layout is not None:
            weights[0] = torch.cat([weights[0], self.layout.modulation.weight])
        return weights

    def features(
        self, latents: Float[Tensor, "n layers dim"], blocks: int
    ) -> Float[Tensor, "n channels side side"]:
        """Activations after the first convolution and this many blocks."""
        return self.activations(latents, 3 * blocks)

    def activations(
        self, latents: Float[Tensor, "n layers dim"], layer: int
    ) -> Float[Tensor, "n channels side side"]:
        """Maps after what row `layer` sets: an upsampling, a convolution, or at the last row the bands."""
        x = self.first(latents[:, 0])
        for row in range(1, layer + 1):
            x = after_row(self, x, latents, row)
            if row == 3 * LAID and self.layout is not None and self.injection is not None:
                x = x + self.injection(functional.pixel_unshuffle(self.layout(latents[:, 0]), 2))
        return x

    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """Stopped after `layer`; eigenpictures and the last block's input draw the picture so far."""
        skip = None if self.layout is None else self.layout(latents[:, 0])
        return self._advanced(Cut(0, self.first(latents[:, 0]), skip), latents, layer)

    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """The picture behind a cut, always in full size."""
        cut = self._advanced(cut, latents, self.layers - 1)
        picture = inverse_haar(cut.maps).contiguous()
        return picture if cut.skip is None else picture + enlarged(cut.skip, self.size)

    def _advanced(self, cut: Cut, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        x, skip = cut.maps, cut.skip
        for row in range(cut.layer + 1, layer + 1):
            if row == self.layers - 4 and self.base is not None:
                low = functional.interpolate(inverse_haar(self.base(x)), scale_factor=2)
                skip = low if skip is None else enlarged(skip, self.size) + low
            x = after_row(self, x, latents, row)
            if row == 3 * LAID and skip is not None and self.injection is not None:
                x = x + self.injection(functional.pixel_unshuffle(skip, 2))
        return Cut(layer, x, skip)

    def synthesize(self, latents: Float[Tensor, "n layers dim"]) -> Float[Tensor, "n 3 size size"]:
        """W+ -> pictures, about [-1, 1]."""
        details = self.details(latents)
        return details if self.layout is None else details + enlarged(self.layout(latents[:, 0]), self.size)

    def details(self, latents: Float[Tensor, "n layers dim"]) -> Float[Tensor, "n 3 size size"]:
        """What the convolutions add to the layout; without one, the whole picture."""
        before = self.features(latents, len(self.blocks) - 1)
        last = self.blocks[-1](before, latents[:, -4:-1])
        bands = self.head(last, latents[:, -1])
        if self.base is not None:
            low = 2 * self.composed(self.base(before))  # orthonormal: the low band of a constant v is 2 v
            bands = torch.cat([bands[:, :3] + low, bands[:, 3:]], dim=1)
        return self.composed(bands).contiguous()

    def composed(self, bands: Float[Tensor, "n 12 half half"]) -> Float[Tensor, "n 3 size size"]:
        """The picture of these bands."""
        if self.haar is None:
            return inverse_haar(bands)
        bands = functional.pad(bands, (1, 1, 1, 1), mode="replicate")
        return functional.conv_transpose2d(bands, self.haar, stride=2, padding=4)

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n 3 size size"]:
        """Normal vectors -> pictures, without truncation."""
        return self.synthesize(self.mapping(z)[:, None].repeat(1, self.layers, 1))

    @torch.no_grad()
    def measure_mean(self, count: int = 4096, seed: int = 0) -> None:
        """Set `mean` to the average w of `count` samples."""
        z = torch.randn(count, self.mean.shape[0], generator=torch.Generator().manual_seed(seed))
        self.mean.copy_(self.mapping(z.to(self.mean)).mean(0))


def layers_of(size: int) -> int:
    """Rows of W+ of a network that draws `size` x `size` pictures. Raises ValueError unless there is one."""
    doublings = (size // BASE).bit_length() - 1
    if doublings < 1 or BASE * 2**doublings != size:
        raise ValueError(f"size must be {BASE} times a power of two, at least {2 * BASE}; it is {size}")
    return 3 * doublings - 1


def channels_of(state: Dictionary[str, Tensor]) -> tuple[int, ...]:
    """The widths of the network that this state dict belongs to."""
    blocks = len({name.split(".")[1] for name in state if name.startswith("blocks.")})
    widths = [state["first.weight"].shape[0]]
    widths += [state[f"blocks.{i}.conv2.bias"].shape[0] for i in range(blocks)]
    return tuple(widths)


def from_state(state: Dictionary[str, Tensor]) -> CompactStyleGAN:
    """The network with these weights, in float32 (files store float16).

    Raises KeyError or RuntimeError when they are not those of a CompactStyleGAN.
    """
    depth = len({name for name in state if name.startswith("mapping.layers.")}) // 2
    dim = state["mapping.mean"].shape[0]
    layout = len(state["layout.pictures"]) if "layout.pictures" in state else 0
    dense = sum(name.endswith("conv1.kernel") for name in state)
    network = CompactStyleGAN(
        channels_of(state), dim, "base.weight" in state, depth, layout, dense, "smooth" in state
    )
    network.load_state_dict({name: value.float() for name, value in state.items()})
    return network.eval()
