"""Encoders (one picture of 256 pixels to rows of W+) beside their public code: time, largest difference.

    python benchmarks/encoders.py [--public CHECKOUT ...] [--rounds 5] [--threads 2]

CHECKOUT is a clone of encoder4editing, pixel2style2pixel, restyle-encoder or idinvert_pytorch; none is part
of this project. Without one, e4e is compared with its definition in plain torch. Same random weights,
measured alternately in one process.
"""

import argparse
import importlib
import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from stylegan2 import alternating  # noqa: E402
from synthetic_encoders import (  # noqa: E402  # pyright: ignore[reportMissingImports]
    filled,
    halvings,
    idinvert,
    pyramid,
)

from backends.networks import encoders  # noqa: E402

log = logging.getLogger("benchmark")
ROWS = 18
SHAPES = {
    "e4e": pyramid(halvings(ROWS)),
    "pSp": pyramid(halvings(ROWS)),
    "ReStyle, pSp": pyramid([4] * ROWS, channels=6),
    "ReStyle, e4e": pyramid([4] * ROWS, channels=6),
    "IDInvert": idinvert(),
}
PUBLIC = {  # module of a checkout, class: what it is here
    ("models.encoders.psp_encoders", "Encoder4Editing"): "e4e",
    ("models.encoders.psp_encoders", "GradualStyleEncoder"): "pSp",
    ("models.encoders.restyle_psp_encoders", "BackboneEncoder"): "ReStyle, pSp",
    ("models.encoders.restyle_e4e_encoders", "ProgressiveBackboneEncoder"): "ReStyle, e4e",
    ("models.stylegan_encoder_network", "StyleGANEncoderNet"): "IDInvert",
}


def classes(checkout: Path) -> Iterator[tuple[str, Callable[..., nn.Module]]]:
    """The public classes in a checkout, by name; their modules are forgotten again."""
    sys.path.insert(0, str(checkout))
    for (module, name), kind in PUBLIC.items():
        if (checkout / (module.replace(".", "/") + ".py")).exists():
            found = importlib.import_module(module)
            if hasattr(found, name) and not (kind == "pSp" and hasattr(found, "Encoder4Editing")):
                yield kind, getattr(found, name)
    sys.path.remove(str(checkout))
    for name in [name for name in sys.modules if name.split(".")[0] in ("models", "utils", "configs")]:
        del sys.modules[name]


def stand_ins() -> None:
    """What the public modules import and these classes never use: CUDA kernels, another trunk."""
    importlib.import_module("torch.utils.cpp_extension").load = lambda *_, **__: None  # pyright: ignore[reportAttributeAccessIssue]
    if not importlib.util.find_spec("torchvision"):
        for name in ("torchvision", "torchvision.models", "torchvision.models.resnet"):
            sys.modules[name] = types.ModuleType(name)
            sys.modules[name].resnet34 = None  # pyright: ignore[reportAttributeAccessIssue]


def theirs(
    kind: str, public: Callable[..., nn.Module], state: dict[str, Tensor]
) -> Callable[[Tensor], Tensor]:
    if kind == "IDInvert":
        network = public(256, use_bn=True)
    else:
        options = types.SimpleNamespace(
            stylegan_size=1024, n_styles=ROWS, input_nc=6 if kind.startswith("ReStyle") else 3
        )
        network = public(50, "ir_se", *([ROWS] if kind.startswith("ReStyle") else []), opts=options)
    network.eval().requires_grad_(False).load_state_dict(state)
    return network


def row(kind: str, public: Callable[..., nn.Module] | None, rounds: int) -> None:
    """Measures one encoder and prints it."""
    state = filled(SHAPES[kind])
    other = theirs(kind, public, state) if public else None
    if kind != "IDInvert":
        state["deltas"] = torch.tensor(kind.endswith("e4e"))
    ours = encoders.load(dict(state))
    other = other or encoders.load(dict(state), fast=False)
    x = torch.rand(1, 6 if kind.startswith("ReStyle") else 3, 256, 256) * 2 - 1
    expected = other(x).view(1, ours.rows, ours.dim)  # pyright: ignore[reportArgumentType]
    difference = (ours(x) - expected).abs().max() / expected.abs().max()
    times = alternating({"ours": lambda: ours(x), "other": lambda: other(x)}, rounds)
    log.info(
        "%-13s ours %.2f s, %s %.2f s: %.2f times as fast (best of each: %.2f)   largest difference %.1e",
        kind, median(times["ours"]), "public" if public else "plain torch", median(times["other"]),
        median(times["other"]) / median(times["ours"]), min(times["other"]) / min(times["ours"]), difference,
    )  # fmt: skip


@torch.no_grad()
def main() -> None:
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--public", type=Path, nargs="+", default=[], metavar="CHECKOUT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    stand_ins()
    found = [pair for checkout in options.public for pair in list(classes(checkout))]
    for kind, public in found or [("e4e", None)]:
        row(kind, public, options.rounds)


if __name__ == "__main__":
    main()
