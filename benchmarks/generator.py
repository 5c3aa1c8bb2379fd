"""MobileStyleGAN: the fast path against plain torch and, where it is installed, the network's own runtime.

    python benchmarks/generator.py [--rounds 9] [--seeds 6]

Ratios are of medians and of minima over rounds. OpenVINO is optional.
"""

import argparse
import logging
from collections.abc import Callable
from importlib.util import find_spec
from itertools import cycle
from statistics import median

import torch
from _timing import alternating  # first: it finds the other modules
from torch import Tensor

from backends import weights
from backends.generators.mobilestylegan import MobileStyleGAN
from backends.networks.mobilestylegan_fast import FastSynthesis

log = logging.getLogger(__name__)
FAST = "fast path, 1024"


def psnr(picture: Tensor, expected: Tensor) -> float:
    """Decibels, of pictures in [0, 255]; ours are in [-1, 1]."""
    error = ((picture - expected) * 127.5).double().square().mean().clamp(min=1e-20)
    return float(10 * torch.log10(255**2 / error))


def openvino(latents: Tensor) -> Callable[[], object]:
    """The published network in its own runtime, fp32, on as many threads as torch has."""
    import openvino  # pyright: ignore[reportMissingImports]

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": torch.get_num_threads()}
    file = weights.path("mobilestylegan_ffhq", "SynthesisNetwork.xml")
    weights.path("mobilestylegan_ffhq", "SynthesisNetwork.bin")
    network = openvino.Core().compile_model(str(file), "CPU", settings)
    style = latents[:1, 0].numpy()  # it takes one style for all layers
    return lambda: network(style)


def ways(generator: MobileStyleGAN, latents: Tensor) -> dict[str, Callable[[], object]]:
    """What is timed. Successive latents differ in every layer, except for the edits of some layers."""
    synthesis = generator._network.synthesis
    full, preview, reference = (FastSynthesis(synthesis, compiled) for compiled in (None, None, False))
    orders = [cycle(latents.split(1)) for _ in range(4)]
    result: dict[str, Callable[[], object]] = {
        "plain torch fp32": torch.no_grad()(lambda: synthesis(next(orders[0]))),
        "torch, channels last": lambda: reference(next(orders[1])),
        FAST: lambda: full(next(orders[2])),
        "fast path, 512 preview": lambda: preview(next(orders[3]), preview=True),
        "fast path, layers 10-22 edited": edit(FastSynthesis(synthesis), latents, 10),
        "fast path, layers 16-22 edited": edit(FastSynthesis(synthesis), latents, 16),
        "fast path, resumed at layer 15": resumed(FastSynthesis(synthesis), latents, 15),
        "fast path, full after preview": edit(FastSynthesis(synthesis), latents, 23),
    }
    if find_spec("openvino"):
        result["OpenVINO f32"] = openvino(latents)
    return result


def edit(fast: FastSynthesis, latents: Tensor, first: int) -> Callable[[], object]:
    """Pictures of which only the layers from `first` on change."""
    order, base = cycle(latents.split(1)), latents[:1]
    return lambda: fast(torch.cat([base[:, :first], next(order)[:, first:]], 1))


def resumed(fast: FastSynthesis, latents: Tensor, layer: int) -> Callable[[], object]:
    """Pictures from given feature maps on, as an edit of these needs them."""
    order, cut = cycle(latents.split(1)), fast.cut(latents[:1], layer)
    return lambda: fast.resume(cut, next(order))


def report(times: dict[str, list[float]]) -> None:
    """One line a way; ratios above 1 are slower than the fast path."""
    log.info("%-30s %17s %21s", "", "milliseconds", "times the fast path")
    log.info("%-30s %8s %8s %10s %10s", "", "median", "min", "median", "min")
    for name, seconds in times.items():
        typical, least = median(seconds), min(seconds)
        ratios = typical / median(times[FAST]), least / min(times[FAST])
        log.info("%-30s %8.0f %8.0f %10.2f %10.2f", name, 1000 * typical, 1000 * least, *ratios)


@torch.no_grad()
def main() -> None:
    """Prints the table, then how exact the fast path is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seeds", type=int, default=6)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    generator = MobileStyleGAN()
    latents = generator.sample(list(range(options.seeds)))
    edited = latents.clone()
    edited[:, :8] += 2 * torch.nn.functional.normalize(torch.randn(512), dim=0)  # as a strong slider does
    report(alternating(ways(generator, latents), options.rounds))
    pairs = [(generator.render(w[None]), generator.synthesize(w[None])) for w in torch.cat([latents, edited])]
    log.info(
        "PSNR of the fast path against fp32, minimum of %d: %.1f dB", len(pairs), min(psnr(*p) for p in pairs)
    )


if __name__ == "__main__":
    main()
