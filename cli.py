"""Semantic Sliders from the command line: `python cli.py COMMAND --help`.

Every module of commands/ is one command: its docstring is the help, `arguments(parser)` declares its
options and `run(options)` returns the exit code. 0: done; 1: an input could not be used; 2: usage.
"""

import argparse
import logging
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

import environment  # noqa: F401  # before a command imports torch
from config import UserError


def parser() -> argparse.ArgumentParser:
    """The parser of all commands, in the order of the alphabet."""
    top = argparse.ArgumentParser(prog="cli.py", description="Invert photographs into a GAN and edit them.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    folder = Path(__file__).parent / "commands"
    for name in sorted(m.name for m in iter_modules([str(folder)]) if not m.name.startswith("_")):
        module = import_module(f"commands.{name}")
        text = module.__doc__ or ""
        sub = commands.add_parser(
            name,
            help=text.partition("\n")[0],
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.arguments(sub)
        sub.set_defaults(run=module.run)
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; errors that a user can mend are one line on stderr."""
    options = parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s", level=logging.INFO, stream=sys.stderr, force=True)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        return options.run(options)
    except (UserError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
