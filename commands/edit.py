"""Edit latents with sliders and write the pictures.

    python cli.py edit out/me.npz --set smile=2 --set "SeFa 1=-3" --out smiling.png

`python cli.py directions` lists the names and how far each may go. With several latents in the file (or
several seeds) the pictures are numbered. --save-latents keeps the edited codes.
"""

import argparse
from pathlib import Path

import torch

import latents
from commands._common import log, start_arguments, starting_point
from config import ConfigError
from editor import Edit


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    start_arguments(parser)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=STRENGTH", help="may be repeated; edits add up")
    add("--out", type=Path, default=Path("edited.png"), help="picture file (PNG, JPEG, WebP)")
    add("--save-latents", type=Path, help=".npz or .npy for the edited latents")


def run(options: argparse.Namespace) -> int:
    """Write one picture a latent."""
    edit = _edit(options.set)
    editor, inversions, names = starting_point(options)
    for identity in edit:
        editor.direction(identity)  # an unknown name is an error before any work
    for number, inversion in enumerate(inversions):
        target = options.out
        if len(inversions) > 1:
            target = target.with_stem(f"{target.stem}_{number}")
        editor.render(inversion, edit).save(target)
        log.info("%s -> %s", names[number], target)
    if options.save_latents:
        codes = torch.cat([editor.edited(inversion.latents, edit) for inversion in inversions])
        latents.save(options.save_latents, codes, editor.name, inversions[0].generator, names)
    return 0


def _edit(settings: list[str]) -> Edit:
    """Direction -> strength of texts such as "smile=2" and "SeFa 1=-3". Raises ConfigError."""
    edit: Edit = {}
    for setting in settings:
        name, _, strength = setting.rpartition("=")
        try:
            edit[name.strip()] = float(strength)
        except ValueError:
            name = ""
        if not name.strip() or not abs(edit[name.strip()]) < 1e6:  # also refuses nan
            raise ConfigError(f"--set {setting!r}: expected NAME=NUMBER, as in --set 'SeFa 1=-3'")
    return edit
