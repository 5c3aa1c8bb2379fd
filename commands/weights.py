"""List the weights that the domains use, and fetch them.

python cli.py weights            what is cached, what is missing, how large, under which licence
python cli.py weights --fetch    fetch what is missing: the names given, or all but optional ones
"""

import argparse
import sys

from backends import weights
from commands._common import log


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these entries of the manifest")
    parser.add_argument("--fetch", action="store_true", help="fetch what is missing")


def run(options: argparse.Namespace) -> int:
    """List or fetch."""
    known = weights.entries()
    if unknown := [name for name in options.names if name not in known]:
        raise weights.WeightsError(f"no weights are called {unknown[0]!r}; there are: {', '.join(known)}")
    chosen = {name: known[name] for name in options.names or known}
    if options.fetch:
        for name, entry in chosen.items():
            if entry.missing() and (options.names or not entry.optional):
                weights.prepare(name)
    for name, entry in chosen.items():
        absent = entry.missing()
        state = "cached" if not absent else "optional" if entry.optional else "missing"
        size = f"{entry.bytes / 1e6:.1f} MB"
        sys.stdout.write(f"{name}\t{state}\t{size}\t{entry.licence}\t{entry.description}\n")
        if absent:
            log.info("%s by hand: put %s", name, entry.by_hand)
    return 0
