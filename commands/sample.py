"""Generate pictures from seeds, with their latents.

    python cli.py sample --seed 1-16 --out samples

Writes seed7.png for every seed and samples.npz with all latents; the same seed always gives the same picture.
"""

import argparse
from pathlib import Path

from tqdm import tqdm

from commands._common import domain_arguments, load_editor, parse_seeds


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--seed", type=parse_seeds, default=[7], metavar="SEEDS", help="7, 1-20 or 3,5,8")
    parser.add_argument("--truncation", type=float, help="psi: 0 = the mean picture, 1 = no truncation")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results (default: out)")
    domain_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Write a picture a seed and one file of latents."""
    import torch

    import latents

    editor = load_editor(options)
    options.out.mkdir(parents=True, exist_ok=True)
    codes = []
    for seed in tqdm(options.seed, unit="picture", disable=len(options.seed) == 1):
        inversion = editor.sample(seed, options.truncation)
        editor.render(inversion).save(options.out / f"seed{seed}.png")
        codes.append(inversion.latents)
    names = [f"seed {seed}" for seed in options.seed]
    latents.save(options.out / "samples.npz", torch.cat(codes), editor.name, editor.generator, names)
    return 0
