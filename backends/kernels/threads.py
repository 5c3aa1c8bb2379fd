"""What compiled loops need around them: arrays, memory that is used again, and threads."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import count

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray  # flat float32, as the loops take it


def flat(tensor: Tensor) -> Array:
    """As the loops take it; no copy, if it already lies like this in memory."""
    return np.ascontiguousarray(tensor.detach().float().numpy()).ravel()


class Memory:
    """One array after the other: fresh memory would cost a quarter of a convolution, as it gets cleared."""

    def __init__(self) -> None:
        self.floats = np.empty(0, np.float32)

    def __call__(self, count: int) -> Array:
        """So many floats; the last ones that were asked for are no longer valid."""
        if len(self.floats) < count:
            self.floats = np.empty(count, np.float32)
        return self.floats[:count]


class Scratch(threading.local):
    """Two memories for each thread."""

    def __init__(self) -> None:
        self.first, self.second = Memory(), Memory()


def together(work: Callable[[int], None], pieces: range) -> None:
    """Does the pieces on as many threads as torch has; whoever is free takes the next one.

    The calling thread does its share. Loops release the interpreter's lock.
    """
    threads = torch.get_num_threads()
    taken = count()

    def some() -> None:
        while (piece := next(taken)) < len(pieces):
            work(pieces[piece])

    helpers = [_pool(threads).submit(some) for _ in range(threads - 1)]
    some()
    for helper in helpers:
        helper.result()


@lru_cache(maxsize=2)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="kernels")
