"""Train a generator, scorers or directions, as a YAML file says.

    python cli.py train configs/training/cats64.yaml data.path=photographs
    python cli.py train configs/training/faces_interfacegan.yaml samples=10000

The file's key `trainer` names a module of training/ (without it: a generator is trained); every trainer
continues what was interrupted.
"""

import argparse
import logging
from importlib import import_module
from pathlib import Path

log = logging.getLogger("semantic_sliders")
# modules of training/ with a `run` of their own
TRAINERS = ("attributes", "interfacegan", "latentclr", "shifts", "steerability", "stylespace")


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("config", type=Path, help="a file of configs/training/")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="change a key of that file")


def run(options: argparse.Namespace) -> int:
    """Train, and say where the result is."""
    from config import ConfigError, load

    trainer = load(options.config, options.overrides).get("trainer", "")
    if trainer and trainer not in TRAINERS:
        raise ConfigError(
            f"{options.config.name}: trainer: {trainer!r}; expected one of {', '.join(TRAINERS)}"
        )
    module = import_module(f"training.{trainer}" if trainer else "training")
    log.info("written: %s", module.run(options.config, options.overrides))
    return 0
