"""How long a domain's direction sources take: python benchmarks/directions.py [DOMAIN]

Every source is asked for its directions with nothing remembered, then again with what it remembers. The
fastest of several runs counts: what is slower is the doing of other processes.
"""

import sys
from functools import partial
from pathlib import Path
from timeit import repeat

sys.path.insert(0, str(Path(__file__).parent.parent))

from directions._cache import forget
from directions._statistics import statistics
from editor import Editor

RUNS = 7


def main() -> None:
    """Writes one line per source, for all layers and for the coarse ones."""
    editor = Editor.load(sys.argv[1] if len(sys.argv) > 1 else "faces")
    generator = editor.generator
    generator.mean()  # loads the weights

    def start() -> None:
        forget(generator)
        statistics(generator)

    fresh = partial(forget, generator)
    once = min(repeat(lambda: statistics(generator), fresh, number=1, repeat=RUNS))
    sys.stdout.write(f"latent statistics, once per generator: {1000 * once:.0f} ms\n")
    for label in editor.sources:
        for layers in ("all", "coarse"):
            source = editor.source(label, layers)
            work = partial(source.directions, generator)
            first, again = (min(repeat(work, before, number=1, repeat=RUNS)) for before in (start, "pass"))
            sys.stdout.write(f"{label}, {layers}: {1000 * first:.0f} ms, again {1000 * again:.1f} ms\n")


if __name__ == "__main__":
    main()
