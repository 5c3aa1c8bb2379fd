"""Invert photographs: align each, find its latent, write pictures and latents.

For every PHOTO writes NAME.npz (latents), NAME_crop.png (aligned) and NAME.png (inversion) to --out.
Folders stand for the pictures in them. A photograph that fails is reported and skipped; the exit code is
then 1.
"""

import argparse
from itertools import chain, count
from pathlib import Path

from PIL import Image
from tqdm import tqdm

import latents
from backends.aligners.center import Center
from backends.photos import PhotoError, read_photo
from commands._common import domain_arguments, load_editor, log
from config import UserError
from editor import Editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("photos", type=Path, nargs="+", metavar="PHOTO", help="files or folders")
    parser.add_argument("--inverter", help="one of the domain's inverters (default: its first)")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results (default: out)")
    parser.add_argument("--subject", type=int, default=1, help="which face, 1 = the largest")
    parser.add_argument("--no-align", action="store_true", help="take the centre square as it is")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Invert every photograph; 0 when all succeeded."""
    editor = load_editor(options)
    paths = _photographs(options.photos)
    options.out.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    failed = 0
    for path in tqdm(paths, desc="photographs", unit="photo", disable=len(paths) == 1):
        try:
            _invert(editor, path, _free(path.stem, taken), options)
        except (UserError, OSError) as error:
            failed += 1
            log.error("error: %s: %s", path, error)
    return 1 if failed else 0


def _photographs(names: list[Path]) -> list[Path]:
    """The files named, folders expanded to the pictures in them. Raises PhotoError when there are none."""
    Image.init()
    found: list[Path] = []
    for name in names:
        inside = sorted(name.iterdir()) if name.is_dir() else []
        pictures = [path for path in inside if path.suffix.lower() in Image.EXTENSION and path.is_file()]
        found += pictures if name.is_dir() else [name]
    if not found:
        raise PhotoError(f"no pictures in {', '.join(map(str, names))}")
    return found


def _free(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem-2`, `stem-3` when two folders hold files of the same name; remembers it in `taken`."""
    numbered = (f"{stem}-{number}" for number in count(2))
    name = next(name for name in chain([stem], numbered) if name not in taken)
    taken.add(name)
    return name


def _invert(editor: Editor, path: Path, stem: str, options: argparse.Namespace) -> None:
    photo = read_photo(path)
    if options.no_align:
        crop = Center().align(photo, editor.generator.size)
    else:
        crop = editor.align(photo, max(options.subject - 1, 0))
    crop.save(options.out / f"{stem}_crop.png")
    inversion = None
    with tqdm(desc=stem, unit="step", leave=False) as bar:
        for inversion in editor.invert(crop, options.inverter):
            bar.total = inversion.steps
            bar.update(inversion.step - bar.n)
    assert inversion is not None, "an inverter yields at least once"
    target = options.out / f"{stem}.npz"
    latents.save(target, inversion.latents, editor.name, inversion.generator, [path.name])
    editor.render(inversion).save(options.out / f"{stem}.png")
    log.info("%s -> %s", path, target)
