"""How an inversion and a picture fare beside a busy process, by how long idle threads spin.

    python benchmarks/neighbour.py --steps 16 --rounds 3

Each figure is the fastest of the rounds, in a process of its own; the policies take turns.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
POLICIES = {
    "libgomp's own": {"GOMP_SPINCOUNT": "300000"},
    "ours": {},
    "passive": {"OMP_WAIT_POLICY": "passive"},
}
BUSY = "while True: pass"


def measure(steps: int) -> None:
    """Print the seconds of an inversion and the milliseconds of a picture."""
    sys.path.insert(0, str(ROOT))
    import environment  # noqa: F401, before torch
    from editor import Editor

    editor = Editor.load("faces")
    crop = editor.render(editor.sample(101))
    list(editor.invert(crop, steps=2))
    begun = time.perf_counter()
    list(editor.invert(crop, steps=steps))
    inverted = time.perf_counter()
    for seed in range(10):
        editor.render(editor.sample(seed))
    print(inverted - begun, (time.perf_counter() - inverted) / 10)


def main() -> None:
    """A line for each policy, quiet and beside a neighbour."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--spins", nargs="*", default=[], help="more values of GOMP_SPINCOUNT to try")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(options.steps)
        return
    policies = POLICIES | {f"{spins} rounds": {"GOMP_SPINCOUNT": spins} for spins in options.spins}
    command = [sys.executable, __file__, "--one", "--steps", str(options.steps)]
    clean = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    found: dict[tuple[str, bool], list[list[float]]] = {}
    for _ in range(options.rounds):
        for busy in (False, True):
            for name, policy in policies.items():
                neighbour = subprocess.Popen([sys.executable, "-c", BUSY]) if busy else None
                try:
                    out = subprocess.run(command, env=clean | policy, stdout=subprocess.PIPE, check=True)
                finally:
                    if neighbour:
                        neighbour.kill()
                        neighbour.wait()
                found.setdefault((name, busy), []).append([float(x) for x in out.stdout.split()])
    print(f"{options.steps} steps of inversion, one picture; {os.cpu_count()} cores")
    for name in policies:
        quiet, shared = (np.min(found[name, busy], axis=0) for busy in (False, True))
        print(
            f"{name:>15}: quiet {quiet[0]:6.2f} s {1000 * quiet[1]:5.0f} ms, beside a busy process "
            f"{shared[0]:6.2f} s {1000 * shared[1]:5.0f} ms ({shared[0] / quiet[0]:.1f} times)"
        )


if __name__ == "__main__":
    main()
