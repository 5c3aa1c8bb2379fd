"""Convert a public checkpoint to this project's safetensors format. Nothing in the file is executed.

    python cli.py convert stylegan2-ffhq-config-f.pt --out ffhq.safetensors

`python cli.py inspect FILE` says what is in a file and which plugin will read the result.
"""

import argparse
import sys
from pathlib import Path

from backends import checkpoints


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help=".pt, .pth, .pkl or .safetensors")
    parser.add_argument("--out", type=Path, help="safetensors file (default: beside FILE)")


def run(options: argparse.Namespace) -> int:
    """Write the converted file and say what it is."""
    target = options.out or options.file.with_suffix(".safetensors")
    if target.resolve() == options.file.resolve():
        raise checkpoints.CheckpointError(f"{target} is the file itself; name another with --out")
    report = checkpoints.convert(options.file, target)
    sys.stdout.write(f"{report.family} ({report.format}) -> {target}, for {report.plugin or 'no plugin'}\n")
    return 0
