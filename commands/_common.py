"""What several commands share: options of every domain, what they start from."""

import argparse
import logging
from pathlib import Path

import latents
from backends.inverters import Inversion
from config import CONFIGS
from editor import Editor

log = logging.getLogger("semantic_sliders")


def load_editor(options: argparse.Namespace, domain: str | None = None) -> Editor:
    """The editor that --domain, --configs and --override ask for."""
    return Editor.load(domain or options.domain, options.configs, options.override)


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
    key_value = "change a key of the domain file, as in inverters.optimize.steps=30; may be repeated"
    add = parser.add_argument
    add("--domain", default=default, help="a file of the configs folder (default: faces)")
    add("--configs", type=Path, default=CONFIGS, help="folder of domain files")
    add("--override", action="append", default=[], metavar="KEY=VALUE", help=key_value)


def start_arguments(parser: argparse.ArgumentParser) -> None:
    """LATENTS or --seed, and the options of every domain."""
    parser.add_argument("latents", type=Path, nargs="?", help=".npz or .npy (without it: --seed)")
    parser.add_argument("--seed", type=parse_seeds, metavar="SEEDS", help="7, 1-20 or 3,5,8 (default: 7)")
    domain_arguments(parser, default=None)
