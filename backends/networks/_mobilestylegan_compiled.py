"""MobileStyleGAN's blocks on compiled kernels: exact in fp32, and limited by arithmetic instead of memory."""

# torch types every attribute of a module as Tensor | Module:
# pyright: reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# pyright: reportOperatorIssue=false

from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.networks import _mobilestylegan_kernels as kernels
from backends.networks import _simd
from backends.networks.mobilestylegan import Block, Synthesis
from backends.networks.mobilestylegan_fast import Stages

Array = np.ndarray  # flat float32, as the kernels take it
NOTHING = np.empty(0, np.float32)
CHUNK = (
    32  # rows a thread takes at a time, at most: small enough to share evenly, large for few rows done twice
)


def supports(synthesis: Synthesis) -> bool:
    """Whether the processor and the network's widths fit the kernels (those of the published network do)."""
    multiples = all(
        block.up.out_features % (4 * _simd.WIDTH) == 0 and len(block.conv1.bias) % _simd.COLUMNS == 0
        for block in synthesis.blocks
    )
    large = len(synthesis.blocks[-1].conv2.noise) >= _simd.ROWS
    return _simd.SUPPORTED and synthesis.head.weight.device.type == "cpu" and multiples and large


class CompiledBlock:
    """Weights of a block in the order of the kernels."""

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

    @property
    def scratch(self) -> int:
        """Floats that `kernels.block_rows` needs for itself."""
        rows = (self.step + 5) * self.channels + (3 * self.step + 3) * self.outputs + kernels.HEAD
        return self.size * rows

    def run(
        self, x: Array, rows: Float[Tensor, "3 dim"], out: Array, head: tuple[Array, Array, Array]
    ) -> None:
        """Computes the block with the style vectors `rows` into `out`, or through `head` into its picture."""
        up, scales1, scales2 = (modulation(w) for modulation, w in zip(self.modulations, rows, strict=True))
        arguments = (
            x, flat(up[self.input_order]), flat(self.depthwise1 * scales1), *self.fixed1,
            flat(self.depthwise2 * scales2), *self.fixed2, self.size, self.channels, self.outputs,
        )  # fmt: skip
        threads = torch.get_num_threads()
        rows_each = max(8, min(self.size // threads, CHUNK))
        chunks = count(0, rows_each)  # shared: whoever is free takes the next one

        def work() -> None:
            scratch = np.empty(self.scratch, np.float32)
            while (begin := next(chunks)) < self.size:
                end = min(begin + rows_each, self.size)
                kernels.block_rows(*arguments, begin, end, self.step, scratch, out, *head)

        helpers = [_pool(threads).submit(work) for _ in range(threads - 1)]
        work()
        for helper in helpers:
            helper.result()


class Compiled(Stages):
    """Stages on kernels; blocks narrower than a tile stay with plain torch."""

    def __init__(self, synthesis: Synthesis) -> None:
        self.synthesis = synthesis
        self.plain = [block for block in synthesis.blocks if len(block.conv1.noise) < _simd.ROWS]  # tiny ones
        last = len(synthesis.blocks) - 1
        self.blocks = [
            CompiledBlock(block, i == last)
            for i, block in enumerate(synthesis.blocks)
            if i >= len(self.plain)
        ]
        self.outputs = [np.empty(block.size**2 * block.outputs, np.float32) for block in self.blocks[:-1]]
        self.boundary = len(self.plain)  # the last plain stage hands over in the order of the kernels

    def first(self, w: Float[Tensor, " dim"]) -> Tensor | Array:
        return self._handed_over(0, self.synthesis.first(w[None]))

    def block(self, index: int, x: Tensor | Array, rows: Float[Tensor, "3 dim"]) -> Tensor | Array:
        if index < len(self.plain):
            return self._handed_over(index + 1, self.plain[index](x, rows[None]))
        out = self.outputs[index - len(self.plain)]
        self.blocks[index - len(self.plain)].run(x, rows, out, (NOTHING, NOTHING, NOTHING))  # type: ignore
        return out

    def picture(
        self, x: Tensor | Array, rows: Float[Tensor, "4 dim"], preview: bool
    ) -> Float[Tensor, "1 3 size size"]:
        head = self.synthesis.head
        weight = (head.weight[:, :, 0, 0] * head.modulation(rows[3])).t()  # (channels, bands)
        square = haar_matrix(preview)
        size = self.blocks[-1].size * (1 if preview else 2)
        columns = np.zeros((len(weight), kernels.HEAD), np.float32)
        bias, picture = np.zeros(kernels.HEAD, np.float32), np.empty(3 * size * size, np.float32)
        columns[:, : square.shape[1]] = weight @ square
        bias[: square.shape[1]] = head.bias @ square
        self.blocks[-1].run(x, rows[:3], NOTHING, (columns.ravel(), bias, picture))  # type: ignore
        return torch.from_numpy(picture).view(1, 3, size, size)

    def _handed_over(self, stage: int, x: Float[Tensor, "1 channels size size"]) -> Tensor | Array:
        if stage != self.boundary:
            return x
        return flat(x[0, bands(x.shape[1])].unflatten(0, (-1, _simd.WIDTH)).permute(2, 0, 3, 1))


def bands(channels: int) -> Tensor:
    """Order of channels that makes each Haar band one piece: low, vertical, horizontal, diagonal."""
    details = torch.arange(channels // 4, channels).view(-1, 3).t().flatten()
    return torch.cat([torch.arange(channels // 4), details])


def haar_matrix(preview: bool) -> Float[Tensor, "12 pixels"]:
    """From the bands of the head to (colour, row, column) of a 2x2 square; for a preview to its mean."""
    square = torch.tensor([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]]) / 2  # (band, pixel)
    matrix = torch.zeros(12, 3, 4)
    for colour in range(3):
        matrix[colour, colour] = square[0]
        matrix[3 + 3 * colour : 6 + 3 * colour, colour] = square[1:]
    return matrix.mean(2) if preview else matrix.flatten(1)


def flat(tensor: Tensor) -> Array:
    """As the kernels take it."""
    return np.ascontiguousarray(tensor.detach().float().numpy()).ravel()


def packed(weight: Float[Tensor, "outputs inputs"]) -> Array:
    """Panels of COLUMNS outputs, each (inputs, COLUMNS)."""
    return flat(weight.t().unflatten(1, (-1, _simd.COLUMNS)).transpose(0, 1))


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Threads that wait for work; the calling thread does its share too."""
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="synthesis")
