"""StyleGAN2 at 1024 pixels on this processor: pictures, loading and SeFa, beside public code.

    python benchmarks/stylegan2.py [--rosinality CHECKOUT] [--nvidia CHECKOUT] [--rounds 5] [--threads 2]

CHECKOUT is a clone of the public repository, which is no part of this project; same weights. Everything is
measured alternately in one process; the smallest time of each counts, as other load only ever adds. Weights
are random: speed does not depend on them. Peak memory is measured in a process of its own for each.
"""

import argparse
import importlib
import json
import logging
import re
import subprocess
import sys
import tempfile
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from synthetic_checkpoints import nvidia, rosinality, widths  # noqa: E402  # pyright: ignore[reportMissingImports]

from backends import checkpoints  # noqa: E402
from backends.generators.stylegan2 import StyleGAN2  # noqa: E402
from directions.sefa import SeFa  # noqa: E402

log = logging.getLogger("benchmark")
SIZE, ROWS, DIM = 1024, 18, 512
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


def fastest(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Seconds of the quickest of `rounds` alternating runs of each, after one that does not count."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds + 1):
        for name, run in runs.items():
            for _ in range(2):  # the first run after another program's pays for getting its memory back
                start = time.perf_counter()
                run()
                times[name].append(time.perf_counter() - start)
    return {name: min(each[2:]) for name, each in times.items()}


def peak(options: argparse.Namespace, who: str) -> float:
    """Megabytes that a process uses at most while it loads and draws one picture."""
    arguments = [sys.executable, __file__, "--peak", who, "--threads", str(options.threads)]
    for name in ("rosinality", "nvidia"):
        if folder := getattr(options, name):
            arguments += [f"--{name}", str(folder)]
    return json.loads(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def draws(options: argparse.Namespace, folder: Path, only: str = "") -> dict[str, Draw]:
    """Who draws, by name; `only` that one."""
    state = nvidia(widths(SIZE), DIM)
    theirs = rosinality(state, 9)
    file = folder / "ffhq.pt"
    if not file.exists():
        torch.save({"g_ema": theirs, "latent_avg": state["mapping.w_avg"]}, file)
    found: dict[str, Draw] = {}
    if only in ("", "ours"):
        found["ours"] = StyleGAN2(str(file)).render
    if options.rosinality and only in ("", "rosinality"):
        found["rosinality"] = public_rosinality(options.rosinality, theirs)
    if options.nvidia and only in ("", "nvidia"):
        found["nvidia"] = public_nvidia(options.nvidia, state)
    return found


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rosinality", type=Path, help="clone of rosinality/stylegan2-pytorch")
    parser.add_argument("--nvidia", type=Path, help="clone of NVlabs/stylegan2-ada-pytorch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--peak", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    w = torch.randn(1, ROWS, DIM, generator=torch.Generator().manual_seed(0))
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
    times = fastest({who: lambda draw=draw: draw(w) for who, draw in drawing.items()}, options.rounds)
    for who, seconds in times.items():
        difference = (pictures[who] - pictures["ours"]).abs().max() / pictures["ours"].abs().max()
        log.info(
            "one picture, %-11s %6.2f s   %.2f x ours   largest difference %.1e   peak memory %5.0f MB",
            who, seconds, seconds / times["ours"], difference, peak(options, who),
        )  # fmt: skip
    file, own = folder / "ffhq.pt", folder / "ffhq.safetensors"
    checkpoints.convert(file, own)
    loading = fastest(
        {str(f.suffix): lambda f=f: StyleGAN2(str(f)).size for f in (file, own)}, options.rounds
    )
    generator = StyleGAN2(str(own))
    generator.mean()
    sefa = fastest({"SeFa": lambda: SeFa().directions(generator)}, options.rounds)
    for what, seconds in {**{f"loading {suffix}": s for suffix, s in loading.items()}, **sefa}.items():
        log.info("%-22s %6.3f s", what, seconds)


if __name__ == "__main__":
    main()
