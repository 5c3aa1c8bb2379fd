"""List the directions of a domain with the range of each slider."""

import argparse
import sys

from commands._common import domain_arguments, load_editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--source", help="only this source, as in --source SeFa")
    parser.add_argument("--layers", help="layers to analyse and edit, as in 0-5 (default: the domain file's)")
    parser.add_argument("--count", type=int, help="how many directions a source lists at most")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """One line a direction: source, name, lowest and highest strength, note; tab-separated."""
    editor = load_editor(options)
    sys.stdout.write("id\tlow\thigh\tnote\n")
    for source in [options.source] if options.source else editor.sources:
        for identity, direction in editor.directions(source, options.layers, options.count).items():
            sys.stdout.write(f"{identity}\t{direction.low:.2f}\t{direction.high:.2f}\t{direction.note}\n")
    return 0
