"""Measure what directions really do, and name them after it.

    python cli.py evaluate directions --domain faces --out evaluation

Writes directions.csv (all scores), directions.md (summary of the sources, names) and directions.png (the
table in colours), and keeps the names for the page. Samples and step are those of configs/evaluation/.
"""

import argparse
from pathlib import Path

from commands._common import domain_arguments, load_editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("what", choices=["directions"], help="what to measure")
    parser.add_argument("--source", action="append", help="only this source of directions; may be repeated")
    parser.add_argument("--count", type=int, help="how many directions of a source at most")
    parser.add_argument("--samples", type=int, help="samples that every direction is tried on")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results (default: out)")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Measure all directions of the chosen sources on the same samples."""
    from evaluation import settings
    from evaluation.report import report

    editor = load_editor(options)
    overrides = {"samples": options.samples} if options.samples else {}
    evaluation = settings.read(editor.name, **overrides)
    report(editor, evaluation, options.source or list(editor.sources), options.out, options.count)
    return 0
