"""Edit latents with sliders and write the pictures, or whole photographs.

    python cli.py edit out/me.npz --set smile=2 --set "SeFa 1=-3" --out smiling.png
    python cli.py edit --into me.jpg --set smile=2 --out smiling.png

`python cli.py directions` lists the names and how far each may go. With several latents in the file (or
several seeds) the pictures are numbered. --save-latents keeps the edited codes.

--into PHOTO edits the face in PHOTO (or --subject 2, 3 ...; may be repeated, one is edited after the other)
and writes the whole photograph at its own size. The face is inverted first, unless LATENTS hold its
inversion. What the edit does not change keeps its pixels, bit for bit in a PNG. To edit faces differently,
run it once for each, --into the result of the one before.
"""

import argparse
from itertools import zip_longest
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

import latents
from backends.inverters import Inversion
from backends.photos import read_photo, write_photo
from commands._common import load_editor, log, start_arguments, starting_point
from config import ConfigError
from editor import Edit, Editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    start_arguments(parser)
    add = parser.add_argument
    add("--set", action="append", default=[], metavar="NAME=STRENGTH", help="may be repeated; edits add up")
    add("--out", type=Path, default=Path("edited.png"), help="picture file (PNG, JPEG, WebP)")
    add("--save-latents", type=Path, help=".npz or .npy for the edited latents")
    add("--into", type=Path, metavar="PHOTO", help="edit a face of this photograph, and write the whole")
    add("--subject", type=int, action="append", metavar="N", help="with --into: which face, 1 = the largest")
    add("--inverter", help="with --into: one of the domain's inverters (default: its first)")


def run(options: argparse.Namespace) -> int:
    """Write one picture a latent, or the photograph."""
    edit = _edit(options.set)
    if options.into and not options.latents:
        if options.seed:
            raise ConfigError(
                "--seed is a generated picture, which is in no photograph; leave out one of both"
            )
        options.domain = options.domain or "faces"
        editor, inversions, names = load_editor(options), [], []
    else:
        editor, inversions, names = starting_point(options)
    for identity in edit:
        editor.direction(identity)  # an unknown name is an error before any work
    if options.into:
        inversions = _into(editor, inversions, edit, options)
        names = [options.into.name] * len(inversions)
    else:
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


def _into(
    editor: Editor, inversions: list[Inversion], edit: Edit, options: argparse.Namespace
) -> list[Inversion]:
    """Edit the subjects of a photograph one after the other; returns their inversions."""
    photo = read_photo(options.into)
    places = [max(number - 1, 0) for number in options.subject or [1]]
    if inversions and len(inversions) != len(places):
        raise ConfigError(
            f"{options.latents.name} holds {len(inversions)} latents, for as many subjects; give --subject "
            "once for each"
        )
    # all before the first edit, which may change what is found
    squares = [editor.frame(photo, place) for place in places]
    used = []
    for square, known in zip_longest(squares, inversions):
        inversion = known or _inverted(editor, editor.crop(photo, square), options.inverter)
        before = editor.view(inversion)
        photo = editor.paste(square, before, editor.view(inversion, edit)).onto(photo)
        used.append(inversion)
    write_photo(photo, options.out)
    log.info("%s -> %s", options.into, options.out)
    return used


def _inverted(editor: Editor, crop: Image.Image, inverter: str | None) -> Inversion:
    inversion = None
    with tqdm(desc="inverting", unit="step", leave=False) as bar:
        for inversion in editor.invert(crop, inverter):
            bar.total = inversion.steps
            bar.update(inversion.step - bar.n)
    assert inversion is not None, "an inverter yields at least once"
    return inversion


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
