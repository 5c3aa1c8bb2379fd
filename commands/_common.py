"""What several commands share: files named on the command line, options of every domain, error types."""

import argparse
import logging
from pathlib import Path

import latents
from backends.aligners import AlignmentError
from backends.checkpoints import CheckpointError
from backends.decoders import DecoderError
from backends.inverters import Inversion
from backends.photos import PhotoError
from backends.weights import WeightsError
from config import ConfigError
from editor import CONFIGS, Edit, Editor
from latents import LatentsError

# What a user can mend. Anything else is our bug, and its traceback is wanted.
Mistakes = (
    AlignmentError,
    CheckpointError,
    ConfigError,
    DecoderError,
    LatentsError,
    PhotoError,
    WeightsError,
    OSError,
)

log = logging.getLogger("semantic_sliders")


def load_editor(options: argparse.Namespace, domain: str | None = None) -> Editor:
    """The editor that --domain, --configs and --override ask for."""
    return Editor.load(domain or options.domain, options.configs, options.override)


def photographs(names: list[Path]) -> list[Path]:
    """The files named, folders expanded to the pictures in them. Raises PhotoError when there are none."""
    from PIL import Image

    Image.init()
    found: list[Path] = []
    for name in names:
        inside = name.iterdir() if name.is_dir() else [name]
        keep = [path for path in inside if path == name or path.suffix.lower() in Image.EXTENSION]
        found.extend(sorted(path for path in keep if path == name or path.is_file()))
    if not found:
        raise PhotoError(f"no pictures in {', '.join(map(str, names))}")
    return found


def free_stem(stem: str, taken: set[str]) -> str:
    """`stem`, or `stem-2`, `stem-3` when two folders hold files of the same name; remembers it in `taken`."""
    candidate, number = stem, 1
    while candidate in taken:
        number += 1
        candidate = f"{stem}-{number}"
    taken.add(candidate)
    return candidate


def parse_edit(settings: list[str]) -> Edit:
    """Direction -> strength of texts such as "smile=2" and "SeFa 1=-3". Raises ConfigError."""
    edit: Edit = {}
    for setting in settings:
        name, equals, strength = setting.rpartition("=")
        try:
            edit[name.strip()] = float(strength)
        except ValueError:
            equals = ""
        if not equals or not name.strip() or not abs(edit[name.strip()]) < 1e6:  # also refuses nan
            raise ConfigError(f"--set {setting!r}: expected NAME=NUMBER, as in --set 'SeFa 1=-3'")
    return edit


def parse_seeds(text: str) -> list[int]:
    """Seeds of "7", "1-20" or "3,5,8-10". Raises argparse.ArgumentTypeError."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()) or max(int(first), int(last)) >= 2**63:
            raise argparse.ArgumentTypeError(f"{text!r}: expected seeds such as 7, 1-20 or 3,5,8")
        if int(last) - int(first) >= 100_000:
            raise argparse.ArgumentTypeError(f"{text!r}: more than 100,000 seeds")
        seeds.extend(range(int(first), int(last) + 1))
    return seeds


def starting_point(options: argparse.Namespace) -> tuple[Editor, list[Inversion], list[str]]:
    """What `edit` and `walk` start from: the codes of a latents file, or of --seed; and their names."""
    if options.latents is None:
        editor = load_editor(options)
        seeds = options.seed or [7]
        return editor, [editor.sample(seed) for seed in seeds], [f"seed {seed}" for seed in seeds]
    saved = latents.load(options.latents)
    editor = load_editor(options, options.domain or saved.domain or "faces")
    generator = saved.decoding(editor.generator)
    if saved.fingerprint and saved.fingerprint != editor.generator.fingerprint:
        log.warning("warning: these latents were made for other generator weights; the picture may differ")
    codes = latents.fit(saved.values, generator.layers, generator.dim).to(generator.mean())
    names = [*saved.names[: len(codes)], *(f"latent {i}" for i in range(len(saved.names), len(codes)))]
    return editor, [Inversion(code[None], generator) for code in codes], names


def domain_arguments(parser: argparse.ArgumentParser, default: str | None = "faces") -> None:
    """--domain, --configs and --override."""
    parser.add_argument("--domain", default=default, help="a file of the configs folder (default: faces)")
    parser.add_argument("--configs", type=Path, default=CONFIGS, help="folder of domain files")
    parser.add_argument(
        "--override",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a key of the domain file, as in inverters.optimize.steps=30; may be repeated",
    )


def start_arguments(parser: argparse.ArgumentParser) -> None:
    """LATENTS or --seed, and the options of every domain."""
    parser.add_argument("latents", type=Path, nargs="?", help=".npz or .npy (without it: --seed)")
    parser.add_argument("--seed", type=parse_seeds, metavar="SEEDS", help="7, 1-20 or 3,5,8 (default: 7)")
    domain_arguments(parser, default=None)
