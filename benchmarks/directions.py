"""How long a domain's direction sources take: python benchmarks/directions.py [DOMAIN]

Every source is asked for its directions with nothing remembered, then again with what it remembers. The
fastest of several runs counts: what is slower is the doing of other processes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from directions._cache import forget
from directions._statistics import statistics
from editor import Editor

RUNS = 7


def fastest(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> float:
    """Seconds of the fastest of several runs."""
    times = []
    for _ in range(RUNS):
        before()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    """Writes one line per source, for all layers and for the coarse ones."""
    editor = Editor.load(sys.argv[1] if len(sys.argv) > 1 else "faces")
    generator = editor.generator
    generator.mean()  # loads the weights
    once = fastest(lambda: statistics(generator), lambda: forget(generator))
    sys.stdout.write(f"latent statistics, once per generator: {1000 * once:.0f} ms\n")
    for label in editor.sources:
        for layers in ("all", "coarse"):
            source = editor.source(label, layers)

            def start() -> None:
                forget(generator)
                statistics(generator)

            first = fastest(lambda source=source: source.directions(generator), start)
            again = fastest(lambda source=source: source.directions(generator))
            sys.stdout.write(f"{label}, {layers}: {1000 * first:.0f} ms, again {1000 * again:.1f} ms\n")


if __name__ == "__main__":
    main()
