"""StyleGAN1's generator (Karras, Laine & Aila, CVPR 2019) in plain torch, and IDInvert's variant of it.

The weights are *effective*, as in `stylegan2.py`: gains, learning rates and the style's one are in them. The
variant differs in its mapping, which makes one w for every layer, and in a tanh at the end.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Cut, Images
from backends.networks.mapping import SLOPE, Mapping, Shaped, series

EPSILON = 1e-8


class Layer(nn.Module):
    """Convolution, noise, bias, leaky ReLU (without a gain), then AdaIN (equation 1): normalise, restyle."""

    def __init__(self, dim: int, inputs: int | None, outputs: int, side: int, up: bool) -> None:
        """`inputs` is None for the first layer, which has no convolution."""
        super().__init__()
        self.up = up
        self.weight = None if inputs is None else nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.scale = nn.Parameter(torch.empty(outputs))  # of the noise; StyleGAN2 has one for all channels
        self.style = nn.Linear(dim, 2 * outputs)
        self.register_buffer("noise", torch.empty(side, side))

    def forward(
        self, x: Float[Tensor, "n inputs h w"], w: Float[Tensor, "n dim"]
    ) -> Float[Tensor, "n outputs side side"]:
        if self.weight is not None:
            x = self.upsampled(x) if self.up else F.conv2d(x, self.weight, padding=1)
        x = x + self.noise * self.scale[:, None, None] + self.bias[:, None, None]  # pyright: ignore[reportOperatorIssue]
        x = F.leaky_relu(x, SLOPE)
        x = x - x.mean((2, 3), keepdim=True)
        x = x * torch.rsqrt(x.square().mean((2, 3), keepdim=True) + EPSILON)
        factor, offset = self.style(w)[:, :, None, None].chunk(2, dim=1)
        return x * factor + offset

    def upsampled(self, x: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs side side"]:
        """Twice the side by repetition, convolution, then the filter 1-2-1.

        Repetition and convolution are one transposed convolution with a 4x4 kernel (the sum of four shifted
        3x3 ones): 16 multiplications where 36 were needed. Public code does so from 128 pixels on and stores
        those kernels turned; ours are all the right way round.
        """
        kernel = F.pad(self.weight.flip(2, 3), (1, 1, 1, 1))  # pyright: ignore[reportOptionalMemberAccess]
        kernel = kernel[:, :, 1:, 1:] + kernel[:, :, :-1, 1:] + kernel[:, :, 1:, :-1] + kernel[:, :, :-1, :-1]
        x = F.conv_transpose2d(x, kernel.transpose(0, 1), stride=2, padding=1)
        taps = torch.tensor([0.25, 0.5, 0.25], dtype=x.dtype, device=x.device)
        blur = torch.outer(taps, taps).expand(x.shape[1], 1, 3, 3)
        return F.conv2d(x, blur, padding=1, groups=x.shape[1])


class StyleGAN1(Shaped):
    """W+ -> pictures, and the mapping; `StyleGAN1.load(state)` builds it."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.dim = state["mean"].shape[1]
        channels = [len(state[key]) for key in series(state, "convs.{}.bias")]
        self.layers = len(channels)
        self.size = 2 << (len(channels) // 2)
        self.mapping = Mapping.shaped(state)
        self.register_buffer("mean", torch.empty(state["mean"].shape))  # one, or one per layer
        self.register_buffer("bounded", torch.zeros((), dtype=torch.bool))  # whether a tanh ends it
        self.constant = nn.Parameter(torch.empty(channels[0], 4, 4))
        inputs = [None, *channels]
        self.convs = nn.ModuleList(
            Layer(self.dim, inputs[j], outputs, 4 << j // 2, up=j > 0 and j % 2 == 0)
            for j, outputs in enumerate(channels)
        )
        self.rgb = nn.Linear(channels[-1], 3)

    @property
    def affines(self) -> list[Float[Tensor, "styles dim"]]:
        """Layer j: the style of convolution j, factors first, then offsets."""
        return [conv.get_parameter("style.weight") for conv in self.convs]

    def cut(self, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """Feature maps after `layer`; layer j of the latents styles convolution j."""
        return self.advanced(Cut(-1, self.constant.expand(len(latents), -1, -1, -1)), latents, layer)

    def resume(self, cut: Cut, latents: Float[Tensor, "n layers dim"], preview: bool = False) -> Images:
        """The picture behind a cut, always in full size."""
        x = self.advanced(cut, latents, self.layers - 1).maps
        image = F.conv2d(x, self.rgb.weight[:, :, None, None], self.rgb.bias)
        return torch.tanh(image) if bool(self.bounded) else image

    def forward(self, latents: Float[Tensor, "n layers dim"]) -> Images:
        """Differentiable in latents and weights."""
        return self.resume(self.cut(latents, 0), latents)

    def advanced(self, cut: Cut, latents: Float[Tensor, "n layers dim"], layer: int) -> Cut:
        """`cut`, moved on to `layer`."""
        x = cut.maps
        for j in range(cut.layer + 1, layer + 1):
            x = self.convs[j](x, latents[:, j])
        return Cut(layer, x)
