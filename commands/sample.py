"""Generate pictures from seeds, with their latents.

    python cli.py sample --seed 1-16 --out samples
    python cli.py sample --seed 7 --out me.png

Writes seed7.png for every seed and samples.npz with all latents to the folder --out; for a single seed --out
may also be a picture file, with the latents beside it (me.npz). The same seed always gives the same picture.
"""

import argparse
from pathlib import Path

import torch
from PIL import Image
from tqdm import tqdm

import latents
from commands._common import domain_arguments, load_editor, log, parse_seeds
from config import ConfigError


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    add = parser.add_argument
    add("--seed", type=parse_seeds, default=[7], metavar="SEEDS", help="7, 1-20 or 3,5,8")
    add("--truncation", type=float, help="psi: 0 = the mean picture, 1 = no truncation")
    add("--out", type=Path, default=Path("out"), help="folder, or the picture of one seed (default: out)")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write a picture a seed and one file of latents."""
    editor = load_editor(options)
    pictures, target = _files(options.out, options.seed)
    target.parent.mkdir(parents=True, exist_ok=True)
    codes = []
    for seed, file in tqdm(pictures.items(), unit="picture", disable=len(pictures) == 1):
        inversion = editor.sample(seed, options.truncation)
        editor.render(inversion).save(file)
        codes.append(inversion.latents)
        log.info("seed %d -> %s", seed, file)
    names = [f"seed {seed}" for seed in pictures]
    latents.save(target, torch.cat(codes), editor.name, editor.generator, names)
    return 0


def _files(out: Path, seeds: list[int]) -> tuple[dict[int, Path], Path]:
    """Seed -> file of its picture, and the file of the latents. Raises ConfigError."""
    Image.init()
    if out.is_dir() or out.suffix.lower() not in Image.EXTENSION:
        return {seed: out / f"seed{seed}.png" for seed in seeds}, out / "samples.npz"
    if len(seeds) > 1:
        raise ConfigError(
            f"--out {out}: one picture file for {len(seeds)} seeds; give a folder, as in --out samples"
        )
    return {seeds[0]: out}, out.with_suffix(".npz")
