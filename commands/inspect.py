"""Say what checkpoints are (family, size, layers, the plugin that reads them); executes nothing in them."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from backends import checkpoints
from backends.untrusted import printable
from commands._common import log


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help=".pt, .pth, .pkl or .safetensors")


def run(options: argparse.Namespace) -> int:
    """One block a file; 1 if any could not be read."""
    failed = 0
    for path in options.files:
        try:
            report = checkpoints.inspect(path)
        except (checkpoints.CheckpointError, OSError) as error:
            failed += 1
            log.error("error: %s", error)
            continue
        sys.stdout.write(f"{printable(str(path))}\n")
        for key, value in asdict(report).items():
            if value not in ("", 0):
                sys.stdout.write(f"  {key}: {value}\n")
    return 1 if failed else 0
