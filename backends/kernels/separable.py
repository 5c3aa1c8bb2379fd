"""MobileStyleGAN's blocks on compiled loops: exact in fp32, and limited by arithmetic instead of memory.

A picture of 1024 pixels takes 0.15 s, about 0.8 s on `separable_reference.py` and 0.45 s in OpenVINO: the
difference between a picture that follows the slider and one that does not.
"""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from backends import Images
from backends.kernels import linear_loops, simd
from backends.kernels import separable_loops as loops
from backends.kernels.separable_loops import Convolution, Head
from backends.kernels.separable_reference import Plain
from backends.kernels.threads import Array, Scratch, flat, together
from backends.networks.mobilestylegan import Block, Synthesis

NOTHING, ZEROS = np.empty(0, np.float32), np.zeros(linear_loops.PANEL, np.float32)
CHUNK = 32  # rows a thread takes at a time, at most: few enough to share evenly, many as some are done twice
_scratch = Scratch()


def supports(synthesis: Synthesis) -> bool:
    """Whether the processor and the network's widths fit the kernels (those of the published network do)."""
    multiples = all(
        block.up.out_features % (4 * simd.WIDTH) == 0 and len(block.conv1.bias) % simd.COLUMNS == 0
        for block in synthesis.blocks
    )
    large = len(synthesis.blocks[-1].conv2.noise) >= simd.ROWS
    return simd.SUPPORTED and synthesis.head.weight.device.type == "cpu" and multiples and large


class CompiledBlock:
    """Weights of a block in the order of the loops."""

    def __init__(self, block: Block, last: bool) -> None:
        first, second = block.conv1, block.conv2
        self.size, self.channels, self.outputs = len(first.noise), len(first.depthwise), len(second.bias)
        order = torch.arange(self.outputs) if last else bands(self.outputs)
        self.input_order = bands(4 * self.channels)
        self.modulations = block.up, first.modulation, second.modulation
        self.depthwise1 = first.depthwise.flatten(1).t() / 2  # (9, channels); 1/2 of the Haar transform
        self.depthwise2 = second.depthwise.flatten(1).t()
        self.fixed1 = packed(first.pointwise[:, :, 0, 0]), flat(first.bias), flat(first.noise)
        self.fixed2 = packed(second.pointwise[order, :, 0, 0]), flat(second.bias[order]), flat(second.noise)
        self.step = max(1, 256 // self.size)  # rows at a time: enough pixels to make use of loaded weights
        rows = (self.step + 5) * self.channels + (3 * self.step + 3) * self.outputs + loops.HEAD
        self.scratch = self.size * rows  # floats that `loops.block_rows` needs for itself

    def run(self, x: Array, latent: Float[Tensor, "3 dim"], out: Array, head: Head) -> None:
        """Computes the block into `out`, or through `head` into its picture."""
        up, scales1, scales2 = (layer(w) for layer, w in zip(self.modulations, latent, strict=True))
        up = flat(up[self.input_order])
        conv1 = Convolution(self.channels, self.outputs, flat(self.depthwise1 * scales1), *self.fixed1)
        conv2 = Convolution(self.outputs, self.outputs, flat(self.depthwise2 * scales2), *self.fixed2)
        each = max(8, min(self.size // torch.get_num_threads(), CHUNK))

        def work(begin: int) -> None:
            end, scratch = min(begin + each, self.size), _scratch.first(self.scratch)
            loops.block_rows(x, up, conv1, conv2, head, self.size, begin, end, self.step, scratch, out)

        together(work, range(0, self.size, each))


class Compiled(Plain):
    """Stages on the loops; blocks smaller than a tile stay with plain torch."""

    def __init__(self, synthesis: Synthesis) -> None:
        super().__init__(synthesis)
        self.plain = [block for block in synthesis.blocks if len(block.conv1.noise) < simd.ROWS]  # tiny ones
        packed = list(synthesis.blocks)[len(self.plain) :]
        self.blocks = [CompiledBlock(block, block is packed[-1]) for block in packed]
        sizes = [block.size**2 * block.outputs for block in self.blocks[:-1]]
        self.outputs, self.aside = ([np.empty(size, np.float32) for size in sizes] for _ in range(2))

    def block(
        self, index: int, x: Tensor | Array, latent: Float[Tensor, "3 dim"], aside: bool = False
    ) -> Tensor | Array:
        number = index - len(self.plain)
        if number < 0:
            return self.from_maps(self.plain[index](x, latent[None]), index + 1)
        out = (self.aside if aside else self.outputs)[number]
        self.blocks[number].run(x, latent, out, Head(NOTHING, NOTHING, NOTHING))  # type: ignore[arg-type]
        return out

    def picture(self, x: Tensor | Array, latent: Float[Tensor, "4 dim"], preview: bool) -> Images:
        head = self.synthesis.head
        weight = (head.weight[:, :, 0, 0] * head.modulation(latent[3])).t()  # (channels, bands)
        square = haar_matrix(preview)
        size = self.blocks[-1].size * (1 if preview else 2)
        columns = np.zeros((len(weight), loops.HEAD), np.float32)
        bias, picture = np.zeros(loops.HEAD, np.float32), np.empty(3 * size * size, np.float32)
        columns[:, : square.shape[1]] = weight @ square
        bias[: square.shape[1]] = head.bias @ square
        self.blocks[-1].run(x, latent[:3], NOTHING, Head(columns.ravel(), bias, picture))  # type: ignore[arg-type]
        return torch.from_numpy(picture).view(1, 3, size, size)

    def to_maps(self, x: Tensor | Array, stage: int) -> Float[Tensor, "1 channels side side"]:
        if isinstance(x, Tensor):
            return x
        side = 4 << stage
        maps = torch.empty(1, len(x) // side**2, side, side)
        for theirs, ours in _pieces(maps, torch.from_numpy(x)):
            theirs.copy_(ours)
        return maps

    def from_maps(self, maps: Float[Tensor, "1 channels side side"], stage: int) -> Tensor | Array:
        if stage < len(self.plain):
            return maps
        x = torch.empty(maps.numel())
        for theirs, ours in _pieces(maps, x):
            ours.copy_(theirs)
        return x.numpy()

    def read(
        self, x: Tensor | Array, stage: int, matrix: Float[Tensor, "outputs channels"]
    ) -> Float[Tensor, "1 outputs side side"]:
        if isinstance(x, Tensor):
            return super().read(x, stage, matrix)
        side, (outputs, channels) = 4 << stage, matrix.shape
        width = -(-outputs // linear_loops.PANEL) * linear_loops.PANEL
        columns = F.pad(matrix[:, bands(channels)], (0, 0, 0, width - outputs))
        columns = flat(columns.t().unflatten(1, (-1, linear_loops.PANEL)).transpose(0, 1))
        out = np.empty(side * side * width, np.float32)
        arguments = x, side, channels, columns, ZEROS, width
        _shared(lambda begin, end: linear_loops.read_rows(*arguments, begin, end, out), side)
        return torch.from_numpy(out).view(1, side, side, width)[..., :outputs].permute(0, 3, 1, 2)


def _shared(work: Callable[[int, int], None], rows: int) -> None:
    """All rows, a few at a time for each thread."""
    each = max(8, min(rows // torch.get_num_threads(), CHUNK))
    together(lambda begin: work(begin, min(begin + each, rows)), range(0, rows, each))


def bands(channels: int) -> Tensor:
    """Order of channels that makes each Haar band one piece: low, vertical, horizontal, diagonal."""
    details = torch.arange(channels // 4, channels).view(-1, 3).t().flatten()
    return torch.cat([torch.arange(channels // 4), details])


def _pieces(maps: Float[Tensor, "1 channels side side"], x: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The low bands and the details, in torch's order and in that of the loops, with the same axes."""
    side, groups = maps.shape[-1], maps.shape[1] // 4 // simd.WIDTH
    low, details = maps[0, : maps.shape[1] // 4], maps[0, maps.shape[1] // 4 :]
    ordered = x.view(side, 4, groups, side, simd.WIDTH)
    return [
        (low.unflatten(0, (groups, simd.WIDTH)).permute(2, 0, 3, 1), ordered[:, 0]),
        (details.unflatten(0, (groups, simd.WIDTH, 3)).permute(3, 2, 0, 4, 1), ordered[:, 1:]),
    ]


def haar_matrix(preview: bool) -> Float[Tensor, "12 pixels"]:
    """From the bands of the head to (colour, row, column) of a 2x2 square; for a preview to its mean."""
    square = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2  # (band, pixel)
    matrix = torch.zeros(12, 3, 4)
    for colour in range(3):
        matrix[colour, colour] = square[0]
        matrix[3 + 3 * colour : 6 + 3 * colour, colour] = square[1:]
    return matrix.mean(2) if preview else matrix.flatten(1)


def packed(weight: Float[Tensor, "outputs inputs"]) -> Array:
    """Panels of COLUMNS outputs, each (inputs, COLUMNS)."""
    return flat(weight.t().unflatten(1, (-1, simd.COLUMNS)).transpose(0, 1))
