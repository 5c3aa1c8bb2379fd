"""EfficientNet-Lite (TensorFlow, 2020; after Tan & Le, ICML 2019): ImageNet features for losses and encoders.

Batch norms are folded into the convolutions while loading: in a frozen network they are constants.
"""

import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images, device, weights

EPSILON = 1e-3  # of every batch norm
Size = Literal["lite0", "lite2"]


class Stage(NamedTuple):
    """Blocks that share one resolution and one width."""

    repeats: int
    kernel: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    Stage(1, 3, 1, 1, 16),  # side / 2
    Stage(2, 3, 2, 6, 24),  # side / 4
    Stage(2, 5, 2, 6, 40),  # side / 8
    Stage(3, 3, 2, 6, 80),  # side / 16
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),  # side / 32
    Stage(1, 3, 1, 6, 320),
)
SCALES: dict[str, tuple[float, float]] = {"lite0": (1.0, 1.0), "lite2": (1.1, 1.2)}  # width, depth


def scaled(channels: int, width: float) -> int:
    """Channels times `width`, rounded to a multiple of eight, never more than a tenth below."""
    target = channels * width
    rounded = max(8, int(target + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * target else rounded


class _Strided(torch.autograd.Function):
    """A frozen depthwise convolution with a stride, whose gradient is computed in float32.

    On processors the gradient in bfloat16 takes twenty times as long: most of the time of a training step.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.sides, ctx.dtype, ctx.stride = x.shape[2:], x.dtype, stride
        return F.conv2d(x, weight, bias, stride, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        [weight], [gradient] = ctx.saved_tensors, gradients
        kernel = weight.shape[2:]
        left = [
            side - (n - 1) * ctx.stride - k
            for side, n, k in zip(ctx.sides, gradient.shape[2:], kernel, strict=True)
        ]
        gradient = F.conv_transpose2d(
            gradient.float(),
            weight.float(),
            stride=ctx.stride,
            output_padding=left,
            groups=len(weight),
        )
        return gradient.to(ctx.dtype), None, None, None


class Convolution(nn.Module):
    """A convolution with TensorFlow's SAME padding, which for stride 2 puts the odd pixel at the end."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.kernel, self.stride, self.groups = kernel, stride, groups

    def forward(self, x: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n outputs _ _"]:
        if self.stride == 1:
            return F.conv2d(x, self.weight, self.bias, padding=self.kernel // 2, groups=self.groups)
        x = F.pad(x, self._pads(x))
        if self.groups > 1 and x.requires_grad and not self.weight.requires_grad:
            return _Strided.apply(x, self.weight, self.bias, self.stride)  # type: ignore[return-value]
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)

    def _pads(self, x: Tensor) -> list[int]:
        """Left, right, top and bottom."""
        pads = []
        for side in (x.shape[3], x.shape[2]):
            total = max((math.ceil(side / self.stride) - 1) * self.stride + self.kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return pads


class Block(nn.Module):
    """Inverted residual (MobileNetV2) with ReLU6: expand, depthwise, project linearly."""

    def __init__(self, inputs: int, stage: Stage, stride: int) -> None:
        super().__init__()
        hidden = inputs * stage.expansion
        self.expand = Convolution(inputs, hidden, 1) if stage.expansion > 1 else None
        self.depthwise = Convolution(hidden, hidden, stage.kernel, stride, groups=hidden)
        self.project = Convolution(hidden, stage.channels, 1)
        self.residual = stride == 1 and inputs == stage.channels

    def forward(self, x: Float[Tensor, "n inputs rows columns"]) -> Float[Tensor, "n outputs _ _"]:
        hidden = F.relu6(self.expand(x)) if self.expand else x
        out = self.project(F.relu6(self.depthwise(hidden)))
        return x + out if self.residual else out


class EfficientNetLite(nn.Module):
    """Reads sRGB in [-1, 1] of any size from about 32 pixels on; trained at 224 (Lite0) and 260 (Lite2)."""

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self.stem = Convolution(3, 32, 3, stride=2)
        self.stages = nn.ModuleList()
        channels = 32
        for position, stage in enumerate(STAGES):
            ends = position in (0, len(STAGES) - 1)  # Lite keeps the depth of the first and of the last stage
            stage = stage._replace(channels=scaled(stage.channels, width))
            repeats = stage.repeats if ends else math.ceil(depth * stage.repeats)
            blocks = [Block(channels, stage, stage.stride)]
            blocks += [Block(stage.channels, stage, 1) for _ in range(repeats - 1)]
            self.stages.append(nn.Sequential(*blocks))
            channels = stage.channels
        self.head = Convolution(channels, 1280, 1)
        self.classifier = nn.Linear(1280, 1000)
        self.requires_grad_(False)

    @property
    def channels(self) -> list[int]:
        """Width of the features after each stage, in the order of `features`."""
        return [stage[-1].project.weight.shape[0] for stage in self.stages]  # type: ignore[index, union-attr]

    def features(
        self, images: Images, stages: Sequence[int] = (0, 1, 2, 4, 6)
    ) -> list[Float[Tensor, "n _ _ _"]]:
        """Feature maps after the chosen stages, ascending (the last block of each resolution by default)."""
        x = F.relu6(self.stem((images * 127.5 + 0.5) / 128))  # 0...255 -> (x - 127) / 128
        maps = []
        for position, stage in enumerate(self.stages):
            if position > max(stages):
                break
            x = stage(x)
            if position in stages:
                maps.append(x)
        return maps

    def forward(self, images: Images) -> Float[Tensor, "n 1000"]:
        """ImageNet logits."""
        [x] = self.features(images, [len(STAGES) - 1])
        return self.classifier(F.relu6(self.head(x)).mean((2, 3)))


def _folded(state: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution followed by its batch norm."""
    scale = state[f"{norm}.weight"] / torch.sqrt(state[f"{norm}.running_var"] + EPSILON)
    weight = state[f"{convolution}.weight"] * scale[:, None, None, None]
    return weight, state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale


def from_state(state: Mapping[str, Tensor], size: Size) -> EfficientNetLite:
    """The network from the published state dict (keys `_conv_stem`, `_bn0`, `_blocks.N...`, `_fc`).

    Raises KeyError or RuntimeError when the tensors are not those of `size`.
    """
    network = EfficientNetLite(*SCALES[size])
    ours = {
        "stem": ("_conv_stem", "_bn0"),
        "head": ("_conv_head", "_bn1"),
    }
    places = [f"stages.{s}.{b}" for s, stage in enumerate(network.stages) for b in range(len(stage))]  # type: ignore[arg-type]
    for number, place in enumerate(places):
        block = f"_blocks.{number}"
        if f"{block}._expand_conv.weight" in state:
            ours[f"{place}.expand"] = (f"{block}._expand_conv", f"{block}._bn0")
        ours[f"{place}.depthwise"] = (f"{block}._depthwise_conv", f"{block}._bn1")
        ours[f"{place}.project"] = (f"{block}._project_conv", f"{block}._bn2")
    folded = {f"classifier.{name}": state[f"_fc.{name}"] for name in ("weight", "bias")}
    for place, names in ours.items():
        folded[f"{place}.weight"], folded[f"{place}.bias"] = _folded(state, *names)
    network.load_state_dict(folded)
    return network.eval()


@lru_cache(maxsize=2)
def load(size: Size = "lite0") -> EfficientNetLite:
    """The network with its published weights, shared by everyone in this process; frozen.

    Raises backends.weights.WeightsError when they are neither cached nor reachable.
    """
    network = from_state(weights.state(f"efficientnet_{size}"), size).to(device())
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
