"""3x3 convolutions on the kernels of `_winograd_kernels.py`: pictures in their layout, memory and threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from itertools import count as counter

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.networks import _simd, winograd
from backends.networks import _winograd_kernels as kernels
from backends.networks._simd import COLUMNS, WIDTH
from backends.networks._winograd_kernels import HALVING

Array = np.ndarray  # flat float32, as the kernels take it
BLOCK_BYTES = 600 << 10  # of the transformed tiles that a thread has at hand: they stay in a core's own cache
AT_ONCE = 2  # from so many outputs a tile on kernels take longer to fetch than tiles: they are fetched once
OUTPUTS = 256  # channels that a thread finishes at a time, at most, where kernels are fetched once
TILES = 32  # in a block at least; all sides are powers of two, so that blocks are parts of rows or whole rows
SIDES = (16, 32, 64, 128, 256, 512, 1024)
NOTHING = np.zeros(max(COLUMNS, kernels.HEAD), np.float32)


# Arguments of the kernels that go together:
Enter = tuple[Array, int, int, int, int, Array]  # a Place, channels, scales
Leave = tuple[int, Array, Array, Array, Array, int]  # factor, an Activation
Area = tuple[int, int, int, int]  # top, bottom, left, right
Place = tuple[Array, int, int, int]  # memory, offset of pixel (0, 0), steps from row to row, group to group


def flat(tensor: Tensor) -> Array:
    """As the kernels take it."""
    return np.ascontiguousarray(tensor.detach().float().numpy()).ravel()


def supports(inputs: int, outputs: int, side: int, factor: int = 1) -> bool:
    """Whether the kernels take these numbers of channels, and inputs of `side` x `side`."""
    channels = inputs % WIDTH == 0 and outputs % WIDTH == 0 and outputs * max(factor, 1) ** 2 % COLUMNS == 0
    return _simd.SUPPORTED and channels and side in SIDES


class Memory:
    """One picture after the other: fresh memory would cost a quarter of a convolution, as it gets cleared."""

    def __init__(self) -> None:
        self.floats = np.empty(0, np.float32)

    def __call__(self, count: int) -> Array:
        """So many floats; the last ones that were asked for are no longer valid."""
        if len(self.floats) < count:
            self.floats = np.empty(count, np.float32)
        return self.floats[:count]


class _Scratch(threading.local):
    def __init__(self) -> None:
        self.v, self.m = Memory(), Memory()


_scratch = _Scratch()


class Picture:
    """A picture in the order (row, group of channels, column, channel), one more pixel of zeros around it."""

    def __init__(self, channels: int, side: int, memory: Memory | None = None) -> None:
        self.channels, self.side = channels, side
        self.row, self.group = channels * (side + 2), (side + 2) * WIDTH  # numbers to the next of them
        self.start = 0
        self.data = (memory or Memory())(self.row * (side + 2))
        shaped = self.data.reshape(side + 2, channels // WIDTH, side + 2, WIDTH)
        shaped[[0, -1]] = 0
        shaped[:, :, [0, -1]] = 0
        self.inside = torch.from_numpy(shaped)[1:-1, :, 1:-1]  # (side, groups, side, WIDTH)

    @classmethod
    def of(cls, x: Float[Tensor, "1 channels side side"], memory: Memory | None = None) -> "Picture":
        picture = cls(x.shape[1], x.shape[2], memory)
        picture.inside.copy_(x[0].unflatten(0, (-1, WIDTH)).permute(2, 0, 3, 1))
        return picture

    def part(self, begin: int, end: int) -> "Picture":
        """The same memory's channels begin ... end - 1."""
        part = copy(self)
        part.channels, part.start = end - begin, self.start + begin // WIDTH * self.group
        part.inside = self.inside[:, begin // WIDTH : end // WIDTH]
        return part

    def tensor(self) -> Float[Tensor, "1 channels side side"]:
        x = self.inside.permute(0, 2, 1, 3).flatten(2)  # (side, side, channels)
        return x.permute(2, 0, 1)[None]


@dataclass
class Activation:
    """leaky_relu(x * gains + bias + noise): a number for each channel, of the noise one for each pixel."""

    gains: Array
    bias: Array
    slope: Array
    noise: Array
    noise_row: int  # numbers from a row of it to the next; 0 takes one row for all


@dataclass
class Colours:
    """What adds the colours of each finished piece, weight x channels + bias, to the image."""

    weight: Array  # (channels, HEAD)
    bias: Array  # (HEAD,)
    image: Array  # (3, side, side)

    @classmethod
    def of(
        cls, weight: Float[Tensor, "3 channels"], bias: Float[Tensor, "3"], image: Float[Tensor, "1 3 h w"]
    ) -> "Colours":
        columns = np.zeros((weight.shape[1], kernels.HEAD), np.float32)
        columns[:, :3] = weight.t().numpy()
        constants = np.zeros(kernels.HEAD, np.float32)
        constants[:3] = bias.numpy()
        return cls(columns.ravel(), constants, image.numpy().ravel())


class Convolution:
    """The convolution with `weight`: a `factor` of two doubles the side (see `winograd.polyphase`), HALVING
    halves it (a stride of two)."""

    def __init__(self, weight: Float[Tensor, "outputs inputs 3 3"], factor: int = 1) -> None:
        self.outputs, self.inputs = weight.shape[:2]
        self.factor, self.channels = factor, self.outputs // max(factor, 1) ** 2
        transformed = winograd.transform_halving(weight) if factor == HALVING else winograd.transform(weight)
        # (36 or 16, panels, inputs, COLUMNS)
        self.kernels = flat(transformed.unflatten(2, (-1, COLUMNS)).transpose(1, 2))

    def __call__(
        self,
        x: Picture,
        scales: Array,
        after: Activation,
        out: Picture | None,
        colours: Colours | None = None,
    ) -> None:
        """after(conv(x * scales)) into `out`, and its colours; without `out` only these."""
        width = x.side // 4  # tiles in a row
        enter = x.data, x.start, x.row, x.group, self.inputs, scales
        leave = self.factor, after.gains, after.bias, after.slope, after.noise, after.noise_row
        if out and not colours and AT_ONCE * self.outputs >= width**2:
            self._at_once(enter, leave, _shared(out), width)
        else:
            self._in_blocks(enter, leave, out, colours, width)

    def _at_once(self, enter: Enter, leave: Leave, place: Place, width: int) -> None:
        """All tiles, then some outputs after the other: each kernel is fetched once."""
        tiles, step = width**2, max(width, TILES // 2)
        v = _scratch.v(kernels.floats(self.inputs, tiles))

        def entered(first: int) -> None:
            kernels.enter(*enter, self.factor, width, first, step, first, tiles, v)

        each = self.outputs // COLUMNS // torch.get_num_threads() * COLUMNS
        each = min(max(each, COLUMNS), OUTPUTS)

        def finished(begin: int) -> None:
            end = min(begin + each, self.outputs)
            m = _scratch.m(kernels.floats(end - begin, tiles))
            some = self.outputs, self.factor, begin, end, tiles
            kernels.multiply(v, self.inputs, self.kernels, *some, NOTHING, m)
            kernels.leave(m, self.outputs, *leave, *place, begin, end, width, 0, tiles, tiles)

        together(entered, range(0, tiles, step))
        together(finished, range(0, self.outputs, each))

    def _in_blocks(
        self, enter: Enter, leave: Leave, out: Picture | None, colours: Colours | None, width: int
    ) -> None:
        """A few tiles from beginning to end, in the cache."""
        count = TILES
        while 2 * count * 36 * 4 * (self.inputs + self.outputs) <= BLOCK_BYTES:
            count *= 2
        count = min(count, width**2)
        size, room = max(4 * self.factor, 2), kernels.floats(self.outputs, count)

        def block(first: int) -> None:
            v = _scratch.v(kernels.floats(self.inputs, count))
            m = _scratch.m(room + 16 * count * self.outputs)
            area = _area(first, count, width, size)
            place = _shared(out) if out else _own(m[room:], area, self.channels)
            kernels.convolve(
                *enter, self.kernels, self.outputs, *leave, *place, width, first, count, NOTHING, v, m
            )
            if colours:
                kernels.draw(
                    *place, self.channels, colours.weight, colours.bias, *area, colours.image, width * size, m
                )

        together(block, range(0, width**2, count))


def _area(first: int, count: int, width: int, size: int) -> Area:
    """The pixels of `count` tiles of `size` x `size`: part of a row of tiles, or whole rows."""
    top, left = first // width * size, first % width * size
    return top, top + max(count // width, 1) * size, left, left + min(count, width) * size


def _shared(picture: Picture) -> Place:
    return picture.data, picture.start + picture.row + WIDTH, picture.row, picture.group


def _own(memory: Array, area: Area, channels: int) -> Place:
    group = (area[3] - area[2]) * WIDTH
    row = channels // WIDTH * group
    return memory, -area[0] * row - area[2] * WIDTH, row, group


def together(work: Callable[[int], None], pieces: range) -> None:
    """Does the pieces on as many threads as torch has; whoever is free takes the next one."""
    threads = torch.get_num_threads()
    taken = counter()

    def some() -> None:
        while (piece := next(taken)) < len(pieces):
            work(pieces[piece])

    helpers = [_pool(threads).submit(some) for _ in range(threads - 1)]
    some()
    for helper in helpers:
        helper.result()


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="convolution")
