"""A small StyleGAN: the layers of MobileStyleGAN, any widths, cheap to train on a processor.

Same layers of W+ and same keys as `mobilestylegan.Synthesis`, so that weights can be copied over. The
difference is in the arithmetic: modulation, noise and bias go into one batched matrix product, which saves
two of every three passes over the activations, and channels come last in memory, for the depthwise kernels.

Two things differ on purpose. The inverse Haar transform, which draws a grid, is low-pass filtered
(`alias_free.py`). And the finest blocks may have dense convolutions: a processor that multiplies matrices of
bfloat16 does their nine times the arithmetic in the time that depthwise kernels need to move memory.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportAttributeAccessIssue=false
# pyright: reportReturnType=false

import re

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from backends import Cut, Images
from backends.networks import mobilestylegan
from backends.networks.alias_free import FLAT, SOFT, blurred, smooth_haar
from backends.networks.eigenpictures import Eigenpictures, enlarged
from backends.networks.linear_encoder import SIDE
from backends.networks.mobilestylegan import (
    BASE,
    SLOPE,
    Mapping,
    Modulation,
    SeparableConvolution,
    Synthesis,
    channels_of,
    inverse_haar,
)

DIM = 512  # of z and w: that of the face network
DEPTH = 2  # layers of the mapping: few photographs, short training
LAID = 2  # blocks after which features have half the side of eigenpictures, and take them in
SPREAD = 0.3  # of the scales of a new dense layer, for w of unit spread
GAIN = 2**0.5  # makes up for what LeakyReLU takes
EPSILON = 1e-8


class PointwiseConvolution(SeparableConvolution):
    """Depthwise 3x3, then a modulated 1x1 convolution with noise and bias, then LeakyReLU.

    Scaling a channel before or after its own depthwise kernel is the same, so the style may be folded into
    the columns of the pointwise matrix: one (inputs x outputs) matrix per picture instead of one more
    activation map.
    """

    def forward(
        self, x: Float[Tensor, "n inputs size size"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n outputs size size"]:
        x = functional.conv2d(x, self.depthwise, padding=1, groups=x.shape[1])
        if len(x) > 1 and x[0, 0].numel() < len(self.bias):  # small maps are cheaper to scale than the matrix
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

    def __init__(self, inputs: int, outputs: int, size: int, dim: int) -> None:
        """`size` is for other convolutions: this one has no noise."""
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


class Block(mobilestylegan.Block):
    """A block whose upsampling draws no grid, if it is `smooth`, and whose convolutions may be dense."""

    haar: Tensor | None

    def __init__(
        self, inputs: int, outputs: int, size: int, dim: int, dense: bool = False, smooth: bool = False
    ) -> None:
        super().__init__(inputs, outputs, size, dim, DenseConvolution if dense else PointwiseConvolution)
        self.register_buffer("haar", smooth_haar(inputs, SOFT) if smooth else None, persistent=False)

    def raised(
        self, x: Float[Tensor, "n inputs half half"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n bands size size"]:
        if self.haar is not None and x.dtype == torch.bfloat16:
            x = functional.conv_transpose2d(x * self.up(w)[:, :, None, None], self.haar, None, 2, 1)
        else:
            x = super().raised(x, w)
            x = x if self.haar is None else blurred(x)
        return x.contiguous(memory_format=torch.channels_last)


class CompactStyleGAN(Synthesis):
    """`channels` lists the width at 4, 8, 16, ... pixels; pictures have twice the side of the last of them.

    With `skip`, for networks that have grown, the last block only adds to a picture of half the size that is
    drawn from the features before it: that picture is the low band of the result (as in SWAGAN, Gal et al.,
    2021). With `eigenpictures` (`eigenpictures.py`), what they draw is added to the maps of 16 x 16
    pixels and to the result; the first layer of W+ sets it.
    """

    mapping: Mapping
    haar: Tensor | None

    def __init__(
        self,
        channels: tuple[int, ...],
        dim: int = DIM,
        skip: bool = False,
        depth: int = DEPTH,
        eigenpictures: int = 0,
        dense: int = 0,
        smooth: bool = False,
    ) -> None:
        """`depth`: layers of the mapping; `dense`: how many of the last blocks have dense convolutions.

        Raises ValueError: eigenpictures need pictures of 32 pixels or more.
        """
        if eigenpictures and len(channels) <= LAID:
            raise ValueError(f"eigenpictures: only pictures of {SIDE} pixels or more have them")
        finest = BASE * 2 ** (len(channels) - 1 - dense)  # of the separable blocks

        def block(inputs: int, outputs: int, size: int, dim: int) -> Block:
            return Block(inputs, outputs, size, dim, size > finest, smooth)

        super().__init__(channels, dim, block, Mapping(dim, depth))
        self.dense = dense
        # says in files that there is a filter after every inverse Haar transform
        self.register_buffer("smooth", torch.ones(()) if smooth else None)
        self.register_buffer("haar", smooth_haar(12, FLAT) if smooth else None, persistent=False)
        self.base = nn.Conv2d(channels[-2], 12, 1) if skip else None
        self.register_load_state_dict_pre_hook(_rename)
        self.eigenpictures = Eigenpictures(eigenpictures, dim) if eigenpictures else None
        self.injection = nn.Conv2d(12, channels[LAID], 1) if eigenpictures else None

    @property
    def mean(self) -> Float[Tensor, " dim"]:
        """Average w, for the truncation trick."""
        return self.mapping.mean

    @property
    def size(self) -> int:
        """Side of the picture, pixels."""
        return BASE * 2 ** len(self.channels)

    @property
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """What multiplies each layer of the latent."""
        weights = [modulation.weight for modulation in self.modulations]
        if self.eigenpictures is not None:
            weights[0] = torch.cat([weights[0], self.eigenpictures.modulation.weight])
        return weights

    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """Stopped after `layer`; eigenpictures and the last block's input draw the picture so far."""
        skip = None if self.eigenpictures is None else self.eigenpictures(latents[:, 0])
        return self.advanced(Cut(0, self.first(latents[:, 0]), skip), latents, layer)

    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """The picture behind a cut, always in full size."""
        cut = self.advanced(cut, latents, self.layers - 1)
        picture = self.composed(cut.maps).contiguous()
        return picture if cut.skip is None else picture + enlarged(cut.skip, self.size)

    def advanced(self, cut: Cut, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """`cut`, moved on to `layer`."""
        x, skip = cut.maps, cut.skip
        for each in range(cut.layer + 1, layer + 1):
            if each == self.layers - 4 and self.base is not None:
                # orthonormal: the low band of a constant v is 2 v
                low = self.composed(2 * self.composed(self.base(x)))
                skip = low if skip is None else enlarged(skip, self.size) + low
            x = self.after_layer(x, latents, each)
            if each == 3 * LAID and skip is not None and self.injection is not None:
                x = x + self.injection(functional.pixel_unshuffle(skip, 2))
        return Cut(layer, x, skip)

    def composed(self, bands: Float[Tensor, "n bands half half"]) -> Float[Tensor, "n 3 size size"]:
        """The picture of all 12 Haar bands, or of the three low ones alone."""
        if self.haar is not None:
            bands = functional.pad(bands, (1, 1, 1, 1), mode="replicate")
            return functional.conv_transpose2d(bands, self.haar[: bands.shape[1]], stride=2, padding=4)
        if bands.shape[1] == 3:
            return functional.interpolate(bands / 2, scale_factor=2)
        return inverse_haar(bands)

    def forward(self, z: Float[Tensor, "n dim"]) -> Float[Tensor, "n 3 size size"]:
        """Normal vectors -> pictures, without truncation."""
        return self.synthesize(self.mapping(z)[:, None].repeat(1, self.layers, 1))

    @torch.no_grad()
    def measure_mean(self, count: int = 4096, seed: int = 0) -> None:
        """Set `mean` to the average w of `count` samples."""
        z = torch.randn(count, self.mean.shape[0], generator=torch.Generator().manual_seed(seed))
        self.mean.copy_(self.mapping(z.to(self.mean)).mean(0))


def layers_of(size: int) -> int:
    """Layers of W+ for pictures of `size` x `size` pixels. Raises ValueError for other sizes."""
    doublings = (size // BASE).bit_length() - 1
    if doublings < 1 or BASE * 2**doublings != size:
        raise ValueError(f"size must be {BASE} times a power of two, at least {2 * BASE}; it is {size}")
    return 3 * doublings - 1


def from_state(state: dict[str, Tensor]) -> CompactStyleGAN:
    """The network with these weights, in float32. Raises KeyError or RuntimeError when they are another's."""
    depth = len({name for name in state if name.startswith("mapping.layers.")}) // 2
    dim = state["mapping.mean"].shape[0]
    state = {name: value.float() for name, value in state.items()}
    _rename(None, state)
    pictures = state.get("eigenpictures.pictures", ())
    dense = sum(name.endswith("conv1.kernel") for name in state)
    network = CompactStyleGAN(
        channels_of(state), dim, "base.weight" in state, depth, len(pictures), dense, "smooth" in state
    )
    network.load_state_dict(state)
    return network.eval()


def _rename(_: nn.Module | None, state: dict[str, Tensor], *__: object) -> None:
    """Files of earlier versions call the eigenpictures a layout."""
    for name in list(state):
        state[re.sub(r"(^|\.)layout\.", r"\1eigenpictures.", name)] = state.pop(name)
