"""The primitives of `backends/transport.py` on compiled loops: one picture, in float32, without gradients."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from backends.kernels import search_loops
from backends.kernels import transport_loops as loops
from backends.kernels.threads import Array, together

PIECES = 2  # that a thread takes, about: few, as neighbouring rows are computed twice


def unit(
    x: Float[Tensor, "1 channels side side"], shift: Float[Tensor, "channels 1 1"]
) -> Float[Tensor, "1 channels side side"]:
    """x + shift, of unit length at every place; channels last in memory."""
    places, numbers = _places(x), shift.flatten().contiguous().numpy()
    out = np.empty_like(places)
    _rows(lambda begin, end: search_loops.unit_rows(places, numbers, begin, end, out), len(out))
    return torch.from_numpy(out).permute(2, 0, 1)[None]


def pooled(
    x: Float[Tensor, "1 channels side side"], factor: int
) -> Float[Tensor, "1 channels places places"]:
    """As `transport._pooled`; channels last in memory."""
    places = _places(x)
    out = np.empty((len(places) // factor, len(places) // factor, places.shape[2]), np.float32)
    search_loops.pool_rows(places, factor, 0, len(out), out)
    return torch.from_numpy(out).permute(2, 0, 1)[None]


def mean(x: Float[Tensor, "1 planes side side"], width: int) -> Float[Tensor, "1 planes side side"]:
    """As `transport._mean`."""
    out = torch.empty(x.shape)
    loops.mean(_array(x), width, _array(out))
    return out


def resized(x: Float[Tensor, "1 planes side side"], side: int) -> Float[Tensor, "1 planes {side} {side}"]:
    """As `transport.resized`."""
    out = torch.empty(*x.shape[:2], side, side)
    loops.resize(_array(x), _array(out))
    return out


def searched(
    new: Float[Tensor, "1 channels side side"],
    old: Float[Tensor, "1 channels side side"],
    start: Float[Tensor, "1 2 side side"],
    window: int,
    sharpness: float,
    distance: float,
) -> Float[Tensor, "1 2 side side"]:
    """The way from where `start` leads to what is alike."""
    out, numbers = torch.empty(start.shape), (window, np.float32(sharpness), np.float32(distance))
    arrays = _places(new), _places(old), _array(start)
    _rows(
        lambda begin, end: search_loops.search_rows(*arrays, *numbers, begin, end, _array(out)), new.shape[-1]
    )
    return out


def products(
    new: Float[Tensor, "1 channels side side"],
    old: Float[Tensor, "1 channels side side"],
    offsets: Float[Tensor, "1 2 side side"],
) -> Float[Tensor, "1 1 side side"]:
    """Of every place's features with those that `offsets` lead to."""
    out, arrays = torch.empty(offsets[:, :1].shape), (_places(new), _places(old), _array(offsets))
    _rows(lambda begin, end: search_loops.alike_rows(*arrays, begin, end, _array(out)[0]), new.shape[-1])
    return out


def structure(
    a: Float[Tensor, "1 channels side side"], b: Float[Tensor, "1 channels side side"], floor: float
) -> Float[Tensor, "1 1 side side"]:
    """As `transport.structure`."""
    out, arrays = torch.empty(a[:, :1].shape), (_array(a), _array(b), np.float32(floor))
    _rows(lambda begin, end: loops.structure_rows(*arrays, begin, end, _array(out)[0]), a.shape[-1])
    return out


def warp(
    x: Float[Tensor, "1 channels pixels pixels"], offsets: Float[Tensor, "1 2 side side"]
) -> Float[Tensor, "1 channels pixels pixels"]:
    """As `transport.warp`."""
    out, arrays = torch.empty(x.shape), (_array(x), _array(offsets))
    _rows(lambda begin, end: loops.warp_rows(*arrays, begin, end, _array(out)), x.shape[-1])
    return out


def composed(
    drawn: Float[Tensor, "1 3 side side"],
    photograph: Float[Tensor, "1 3 side side"],
    missing: Float[Tensor, "1 3 side side"],
    offsets: Float[Tensor, "1 2 places places"],
    seen: Float[Tensor, "1 1 _ _"],
    moving: Float[Tensor, "1 1 places places"],
    coarse: Float[Tensor, "1 3 small small"],
    doubt: Float[Tensor, "1 1 small small"],
    around: Float[Tensor, "1 3 _ _"],
) -> Float[Tensor, "1 3 side side"]:
    """The last step of `transport.carried`."""
    out, still = torch.empty(drawn.shape), (_array(photograph), _array(missing))
    single = _array(seen)[0], _array(moving)[0], _array(doubt)[0]
    arrays = _array(drawn), still, _array(offsets), *single, _array(coarse), _array(around)
    _rows(lambda begin, end: loops.compose_rows(*arrays, begin, end, _array(out)), drawn.shape[-1])
    return out


def _array(x: Float[Tensor, "1 channels side side"]) -> Array:
    return x[0].contiguous().numpy()


def _places(x: Float[Tensor, "1 channels side side"]) -> Array:
    """Channels last: no copy, if they already lie so in memory."""
    return x[0].permute(1, 2, 0).contiguous().numpy()


def _rows(work: Callable[[int, int], None], side: int) -> None:
    each = max(4, -(-side // (PIECES * torch.get_num_threads())))
    together(lambda begin: work(begin, min(begin + each, side)), range(0, side, each))
