"""3x3 convolutions of many channels in a quarter of the multiplications: Winograd's F(4x4, 3x3).

Lavin & Gray, "Fast Algorithms for Convolutional Neural Networks" (CVPR 2016), section 4.3: a 6x6 tile of the
input, B'dB, times the transformed kernel GgG', gives 4x4 outputs through A'mA. In single precision the result
differs from the direct convolution by about 1e-5 of its largest value. On a processor it pays from about 256
channels on; below, moving the tiles costs more than the multiplications it saves.
"""

import itertools
import logging
from functools import cache
from types import ModuleType

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

log = logging.getLogger(__name__)
CHANNELS, SIDE = 256, 32  # the least inputs, and side of the input, at which it pays (measured with AVX-512)

_INPUT = [  # B', with interpolation points 0, 1, -1, 2, -2 and infinity
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
]
_KERNEL = [  # G, times 24
    [6, 0, 0],
    [-4, -4, -4],
    [-4, 4, -4],
    [1, 2, 4],
    [1, -2, 4],
    [0, 0, 24],
]
_OUTPUT = [  # A'
    [1, 1, 1, 1, 1, 0],
    [0, 1, -1, 2, -2, 0],
    [0, 1, 1, 4, 4, 0],
    [0, 1, -1, 8, -8, 1],
]


def pays(weight: Float[Tensor, "outputs inputs 3 3"], side: int) -> bool:
    """Whether `convolve` is faster than conv2d for inputs of `side` x `side`."""
    return weight.shape[1] >= CHANNELS and side >= SIDE and weight.device.type == "cpu"


def polyphase(
    weight: Float[Tensor, "outputs inputs 3 3"], taps: list[float]
) -> Float[Tensor, "outputs4 inputs 3 3"]:
    """Zero insertion, `weight` as a transposed convolution and a filter of four taps, all as one convolution.

    Its outputs are the four pixels that each input pixel becomes; nothing is approximated.
    """
    phases = torch.zeros(2, 3, 3)  # output pixel, input pixel -1, 0 or 1, tap of the weight
    for phase, pixel, tap in itertools.product(range(2), range(3), range(3)):
        index = tap - phase + 2 * pixel - 1
        phases[phase, pixel, tap] = taps[index] if 0 <= index < 4 else 0.0
    phases = phases.to(weight)
    return torch.einsum("yas,xbt,oist->yxoiab", phases, phases, weight).flatten(0, 2)


def transform(weight: Float[Tensor, "outputs inputs 3 3"]) -> Float[Tensor, "36 inputs outputs"]:
    """GgG' of every kernel."""
    kernels = weight.permute(2, 3, 1, 0).flatten(0, 1)  # (9, inputs, outputs)
    return (_square(_KERNEL, weight) / 24**2 @ kernels.flatten(1)).view(36, *kernels.shape[1:])


def convolve(
    x: Float[Tensor, "1 inputs side side"], kernels: Float[Tensor, "36 inputs outputs"]
) -> Float[Tensor, "1 channels height width"]:
    """conv2d(x, weight, padding=1) from the transformed weight; `side` a multiple of four."""
    side, channels = x.shape[2] // 4, kernels.shape[2]  # side in tiles
    padded = F.pad(x[0].permute(1, 2, 0), (0, 0, 1, 1, 1, 1))
    before, after = _square(_INPUT, x), _square(_OUTPUT, x)
    out = torch.empty(side, 4, side, 4, channels)
    # As few tiles at a time as stay in the cache, but enough for the kernels that are fetched for them.
    step = max(x.shape[1] // 2 // side, 1)
    for a in range(0, side, step):
        b = min(a + step, side)
        tiles = padded[4 * a : 4 * b + 2].unfold(0, 6, 4).unfold(1, 6, 4)  # (rows, side, inputs, 6, 6)
        tiles = tiles.permute(3, 4, 0, 1, 2).reshape(36, -1)
        products = torch.bmm((before @ tiles).view(36, -1, x.shape[1]), kernels)
        strip = (after @ products.view(36, -1)).view(4, 4, b - a, side, channels)
        out[a:b] = strip.permute(2, 0, 3, 1, 4)
    return out.view(1, 4 * side, 4 * side, channels).permute(0, 3, 1, 2)


@cache
def compiled() -> ModuleType | None:
    """The same on compiled kernels, several times faster; None without the package numba."""
    try:  # numba is optional, and takes a second to import
        from backends.kernels import winograd as module
    except ImportError:
        log.info("convolutions are computed by plain torch; with the package numba they are faster")
        return None
    return module


def _square(matrix: list[list[int]], like: Tensor) -> Tensor:
    """The two-dimensional transform as one matrix, acting on flattened tiles."""
    factor = torch.tensor(matrix, dtype=torch.float64)
    return torch.kron(factor, factor).to(like)
