"""StyleGAN2 at 1024 pixels on this processor: pictures, loading and SeFa, beside public code.

    python benchmarks/stylegan2.py [--public CHECKOUT ...] [--rounds 5] [--threads 2]

CHECKOUT is a clone of stylegan2-ada-pytorch or rosinality's stylegan2-pytorch; neither is part of this
project. Without one, ours is compared with its definition in plain torch. Same weights, measured alternately
in one process; they are random, as speed does not depend on them. Peak memory is measured in a process of its
own for each.
"""

import argparse
import importlib
import json
import logging
import re
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from _timing import alternating  # first: it finds the other modules
from synthetic_checkpoints import nvidia, rosinality, widths  # pyright: ignore[reportMissingImports]
from torch import Tensor

from backends import checkpoints
from backends.generators.stylegan2 import StyleGAN2
from directions.sefa import SeFa

log = logging.getLogger("benchmark")
SIZE, LAYERS, DIM = 1024, 18, 512
Draw = Callable[[Tensor], Tensor]


def public_rosinality(checkout: Path, state: dict[str, Tensor]) -> Draw:
    """Their generator on a processor; the compiled operations are never used there, so they are not built."""
    importlib.import_module("torch.utils.cpp_extension").load = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("model").Generator(SIZE, DIM, 8).eval()
    network.load_state_dict(state, strict=False)
    return lambda w: network([w], input_is_latent=True, randomize_noise=False)[0]


def public_nvidia(checkout: Path, state: dict[str, Tensor]) -> Draw:
    """Their generator on its reference path, in the faster of its two forms (modulation in the weights)."""
    for name in ("click", "requests"):  # used by their downloads only
        sys.modules.setdefault(name, types.ModuleType(name))
    sys.path.insert(0, str(checkout))
    network = importlib.import_module("training.networks").Generator(DIM, 0, DIM, SIZE, 3).eval()
    filters = {key: value for key, value in network.state_dict().items() if "resample_filter" in key}
    network.load_state_dict(state | filters)
    return lambda w: network.synthesis(w, noise_mode="const", force_fp32=True, fused_modconv=True)


def peak(options: argparse.Namespace, who: str) -> float:
    """Megabytes that a process uses at most while it loads and draws one picture."""
    arguments = [sys.executable, __file__, "--peak", who, "--threads", str(options.threads)]
    arguments += ["--public", *map(str, options.public)] if options.public else []
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def draws(options: argparse.Namespace, folder: Path, only: str = "") -> dict[str, Draw]:
    """Who draws, by name; `only` that one."""
    state = nvidia(widths(SIZE), DIM)
    theirs = rosinality(state, 9)
    file = folder / "ffhq.pt"
    if not file.exists():
        torch.save({"g_ema": theirs, "latent_avg": state["mapping.w_avg"]}, file)
    ours = StyleGAN2(str(file))
    found: dict[str, Callable[[], Draw]] = {"ours": lambda: ours.render}
    for checkout in options.public:
        if (checkout / "training/networks.py").exists():
            found["nvidia"] = lambda checkout=checkout: public_nvidia(checkout, state)
        elif (checkout / "model.py").exists():
            found["rosinality"] = lambda checkout=checkout: public_rosinality(checkout, theirs)
        else:
            raise SystemExit(f"{checkout} is a clone of neither repository")
    if not options.public:
        found["plain torch"] = lambda: ours.synthesize
    return {who: make() for who, make in found.items() if only in ("", who)}


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--public", type=Path, nargs="+", default=[], metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    w = torch.randn(1, LAYERS, DIM, generator=torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as name:
        if options.peak:
            draws(options, Path(name), options.peak)[options.peak](w)
            # not getrusage: that also counts the process which started this one
            [line] = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
            sys.stdout.write(json.dumps(int(line) / 1024))
            return
        logging.basicConfig(format="%(message)s", level=logging.INFO)
        compare(options, Path(name), w)


def compare(options: argparse.Namespace, folder: Path, w: Tensor) -> None:
    drawing = draws(options, folder)
    pictures = {who: draw(w) for who, draw in drawing.items()}
    times = alternating({who: lambda draw=draw: draw(w) for who, draw in drawing.items()}, options.rounds)
    for who, each in times.items():
        difference = (pictures[who] - pictures["ours"]).abs().max() / pictures["ours"].abs().max()
        log.info(
            "one picture, %-11s %5.2f s: %.2f times ours (best of each: %.2f)   largest difference %.1e   "
            "peak memory %5.0f MB",
            who, median(each), median(each) / median(times["ours"]), min(each) / min(times["ours"]),
            difference, peak(options, who),
        )  # fmt: skip
    file, own = folder / "ffhq.pt", folder / "ffhq.safetensors"
    checkpoints.convert(file, own)
    generator = StyleGAN2(str(own))
    generator.mean()
    runs: dict[str, Callable[[], object]] = {
        f"loading {each.suffix}": lambda each=each: StyleGAN2(str(each)).size for each in (file, own)
    }
    runs["SeFa, all layers"] = lambda: SeFa().directions(generator)
    for what, each in alternating(runs, options.rounds).items():
        log.info("%-22s %6.3f s (slowest %.3f)", what, median(each), max(each))


if __name__ == "__main__":
    main()
