"""Train a generator, scorers or directions, as a YAML file says.

    python cli.py train configs/training/cats64.yaml data.path=photographs
    python cli.py train configs/training/faces_interfacegan.yaml samples=10000

The file's key `trainer` names a module of training/. The same command continues what was interrupted.
"""

import argparse
import logging
from pathlib import Path

log = logging.getLogger("semantic_sliders")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("config", type=Path, help="a file of configs/training/")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="change a key of that file")


def run(options: argparse.Namespace) -> int:
    """Train, and say where the result is."""
    import training

    log.info("written: %s", training.run(options.config, options.overrides))
    return 0
