"""Draw what each direction does, for the page: two small pictures a direction.

    python cli.py thumbnails --domain faces          for all sources, into the project (to be shipped)
    python cli.py thumbnails --domain mine --cache   for this machine only

The page draws missing ones by itself while nobody moves a slider; those that are there it shows at once.
"""

import argparse
import sys
from collections import deque

from tqdm import tqdm

from commands._common import domain_arguments, load_editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--source", action="append", help="only this source of directions; may be repeated")
    parser.add_argument("--layers", help="layers to edit, as in coarse or 0-5 (default: the domain file's)")
    parser.add_argument("--cache", action="store_true", help="keep them in the cache, not in the project")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """One sheet a source; those of sources that have changed since are left to be deleted by hand."""
    from ui import thumbnails
    from ui.semantics import POOL
    from ui.state import Panel

    editor = load_editor(options)
    for label in options.source or editor.sources:
        panel = Panel(label, options.layers or editor.source(label).layers, POOL)
        drawing = tqdm(thumbnails.drawn(editor, panel), desc=label, unit="direction", leave=False)
        for image in deque(drawing, maxlen=1):  # the last one has all rows
            file = thumbnails.keep(editor, panel, image, None if options.cache else thumbnails.SHIPPED)
            sys.stdout.write(f"{label}\t{thumbnails.rows(image)} directions\t{file}\n")
    return 0
