"""What keeping the photograph costs: the drag of a slider with a residual against one without.

    python benchmarks/residual.py [--rounds 9] [--stylegan2]

Faces (MobileStyleGAN), or StyleGAN2 at 1024 pixels with random weights. Processor time and wall time of
alternating runs in one process; ratios above 1 are slower than without. The photograph is a generated one, as
times do not depend on it. Also, against a forward picture: the fit of a residual, which is closed, and a step
of a search for latents, which goes forward and backward through all of the generator in torch.
"""

import argparse
import logging
import platform
import tempfile
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from statistics import median

import torch
from _timing import alternating  # first: it finds the other modules
from synthetic_checkpoints import nvidia, rosinality, widths  # pyright: ignore[reportMissingImports]

from backends import Images, Latents
from backends.decoders.residual import Residual
from backends.generators import Generator
from backends.generators.mobilestylegan import MobileStyleGAN
from backends.generators.stylegan2 import StyleGAN2
from backends.inverters.residual import _matching

log = logging.getLogger(__name__)


def stylegan2(folder: Path) -> StyleGAN2:
    """Random weights: speed does not depend on them."""
    state = nvidia(widths(1024), 512)
    torch.save({"g_ema": rosinality(state, 9), "latent_avg": state["mapping.w_avg"]}, folder / "ffhq.pt")
    return StyleGAN2(str(folder / "ffhq.pt"))


def edits(own: Latents, others: Latents, first: int) -> list[Latents]:
    """Of layers from `first` on, as large as sliders make them."""
    moved = own + 0.15 * (others - own)
    return [torch.cat([own[:, :first], w[None, first:]], 1) for w in moved]


def drags(generator: Generator, photograph: Images, own: Latents) -> dict[str, Callable[[], object]]:
    """Each without and with a residual; successive pictures differ in all layers that move."""
    match = _matching(generator, own)
    decoder = Residual.of(generator, own, photograph, match).completed(photograph)
    others = generator.sample([1, 2, 3, 4])
    runs: dict[str, Callable[[], object]] = {}
    for name, first, preview in (
        ("all layers", 0, True),
        ("late layers", match + 4, True),
        ("full size", 0, False),
    ):
        for who, with_residual in ((generator, ""), (decoder, " +")):
            order = cycle(edits(decoder.own, others, first))
            runs[name + with_residual] = lambda who=who, order=order, preview=preview: who.render(
                next(order), preview
            )
    return runs


def fits(generator: Generator, photograph: Images, own: Latents) -> dict[str, Callable[[], object]]:
    """A forward picture, then what a residual takes; and a step of an inverter through all of a generator."""
    match, others = _matching(generator, own), cycle(generator.sample([1, 2]).split(1))

    def step() -> None:
        latents = own.clone().requires_grad_(True)
        with torch.enable_grad():
            (generator.synthesize(latents) - photograph).square().mean().backward()

    return {
        "fit of a residual": lambda: generator.render(next(others)),
        "fit of a residual +": lambda: Residual.of(generator, next(others), photograph, match),
        "step of latents": lambda: generator.synthesize(own),
        "step of latents +": step,
    }


def report(runs: dict[str, Callable[[], object]], rounds: int) -> None:
    processor: dict[str, list[float]] = {name: [] for name in runs}

    def timed(name: str) -> None:
        start = time.process_time()
        runs[name]()
        processor[name].append(time.process_time() - start)

    wall = alternating({name: lambda name=name: timed(name) for name in runs}, rounds)
    for name in [each for each in runs if not each.endswith(" +")]:
        a, b = (median(processor[each][2:]) for each in (name, name + " +"))
        c, d = (median(wall[each]) for each in (name, name + " +"))
        log.info(
            "%-18s %5.0f ms -> %5.0f ms of wall time, %.2f times; of processor time %.2f times",
            name, 1000 * c, 1000 * d, d / c, b / a,
        )  # fmt: skip


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--stylegan2", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    log.info("%s, %d threads", platform.processor() or platform.machine(), torch.get_num_threads())
    with tempfile.TemporaryDirectory() as name:
        generator = stylegan2(Path(name)) if options.stylegan2 else MobileStyleGAN()
        own = generator.sample([5])
        photograph = generator.render(generator.sample([6])).clamp(-1, 1)
        report(drags(generator, photograph, own), options.rounds)
        report(fits(generator, photograph, own), max(1, options.rounds // 3))


if __name__ == "__main__":
    main()
