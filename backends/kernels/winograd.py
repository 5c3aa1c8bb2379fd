"""3x3 convolutions on the loops of `winograd_loops.py`: maps in their order, memory and threads.

A StyleGAN2 picture of 1024 pixels takes 0.83 s, 3.0 s with torch's convolutions. `winograd_reference.py` is
the same in plain torch; `tests/test_winograd.py` compares.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.kernels import simd
from backends.kernels import winograd_loops as loops
from backends.kernels import winograd_reference as reference
from backends.kernels.simd import COLUMNS, WIDTH
from backends.kernels.threads import Array, Memory, Scratch, flat, together
from backends.kernels.winograd_loops import Activation, Colours, Kernels, Place, Tiles

BLOCK_BYTES = (
    600 << 10
)  # of the transformed tiles that a thread has at hand: they stay in its core's own cache
TILES = 32  # in a block at least; all sides are powers of two, so that blocks are parts of rows or whole rows
SIDES = (16, 32, 64, 128, 256, 512, 1024)
_scratch = Scratch()


def supports(inputs: int, outputs: int, side: int, factor: int = 1) -> bool:
    """Whether the loops take these numbers of channels, and inputs of `side` x `side`."""
    channels = inputs % WIDTH == 0 and outputs % WIDTH == 0 and outputs * factor**2 % COLUMNS == 0
    return simd.SUPPORTED and channels and side in SIDES


class Maps:
    """Feature maps in the order (row, group of channels, column, channel), a border of one pixel of zeros."""

    def __init__(self, channels: int, side: int, memory: Memory | None = None) -> None:
        self.channels, self.side = channels, side
        row, group = channels * (side + 2), (side + 2) * WIDTH  # numbers to the next of them
        data = (memory or Memory())(row * (side + 2))
        self.border = Place(data, 0, row, group)
        self.place = Place(data, row + WIDTH, row, group)
        shaped = data.reshape(side + 2, channels // WIDTH, side + 2, WIDTH)
        shaped[[0, -1]] = 0
        shaped[:, :, [0, -1]] = 0
        self.inside = torch.from_numpy(shaped)[1:-1, :, 1:-1]  # (side, groups, side, WIDTH)

    @classmethod
    def of(cls, x: Float[Tensor, "1 channels side side"], memory: Memory | None = None) -> "Maps":
        maps = cls(x.shape[1], x.shape[2], memory)
        maps.inside.copy_(x[0].unflatten(0, (-1, WIDTH)).permute(2, 0, 3, 1))
        return maps

    def tensor(self) -> Float[Tensor, "1 channels side side"]:
        """A copy."""
        pixels = self.inside.permute(0, 2, 1, 3).clone(memory_format=torch.contiguous_format)
        return pixels.flatten(2).permute(2, 0, 1)[None]


def colours(
    weight: Float[Tensor, "3 channels"], bias: Float[Tensor, "3"], image: Float[Tensor, "1 3 h w"]
) -> Colours:
    """Adds to the memory of `image`."""
    columns = np.zeros((weight.shape[1], loops.HEAD), np.float32)
    columns[:, :3] = weight.detach().t().numpy()
    constants = np.zeros(loops.HEAD, np.float32)
    constants[:3] = bias.detach().numpy()
    return Colours(columns.ravel(), constants, image.numpy().ravel(), image.shape[-1])


class Convolution:
    """The convolution with `weight`; a `factor` of two doubles the side (`winograd_reference.polyphase`)."""

    def __init__(self, weight: Float[Tensor, "outputs inputs 3 3"], factor: int = 1) -> None:
        outputs, inputs = weight.shape[:2]
        self.channels = outputs // factor**2
        panels = reference.transform(weight).unflatten(2, (-1, COLUMNS)).transpose(1, 2)
        self.kernels = Kernels(flat(panels), np.zeros(COLUMNS, np.float32), inputs, outputs, factor)

    def __call__(
        self, x: Maps, scales: Array, after: Activation, out: Maps | None, colours: Colours | None = None
    ) -> None:
        """leaky_relu(conv(x * scales) * gains + bias + noise) into `out`, and its colours; or only these."""
        kernels, width = self.kernels, x.side // 4
        count = TILES
        while 2 * count * 36 * 4 * (kernels.inputs + kernels.outputs) <= BLOCK_BYTES:
            count *= 2
        count = min(count, width**2)
        room = loops.floats(kernels.outputs, count)

        def block(first: int) -> None:
            v = _scratch.first(loops.floats(kernels.inputs, count))
            m = _scratch.second(room + 16 * count * kernels.outputs)
            area = _area(first, count, width, 4 * kernels.factor)
            place = out.place if out else _own(m[room:], area, self.channels)
            loops.convolve(x.border, scales, kernels, after, Tiles(width, first, count), v, m, place)
            if colours:
                loops.draw(place, self.channels, colours, *area, m)

        together(block, range(0, width**2, count))


def _area(first: int, count: int, width: int, size: int) -> tuple[int, int, int, int]:
    """The pixels of part of a row of tiles (`size` x `size`), or of whole rows: top, bottom, left, right."""
    top, left = first // width * size, first % width * size
    return top, top + max(count // width, 1) * size, left, left + min(count, width) * size


def _own(memory: Array, area: tuple[int, int, int, int], channels: int) -> Place:
    group = (area[3] - area[2]) * WIDTH
    row = channels // WIDTH * group
    return Place(memory, -area[0] * row - area[2] * WIDTH, row, group)
