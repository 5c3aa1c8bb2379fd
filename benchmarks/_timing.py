"""Fair times: what is compared runs in turn in one process, so that other work slows all of it."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]  # benchmarks are started by their path


def alternating(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of `rounds` alternating runs of each, after one that loads, compiles and fills.

    Each runs twice in a round: the first run after another's pays for getting its memory back.
    """
    times: dict[str, list[float]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, run in runs.items():
            for counts in (False, True):
                start = time.perf_counter()
                run()
                if number and counts:
                    times[name].append(time.perf_counter() - start)
    return times
