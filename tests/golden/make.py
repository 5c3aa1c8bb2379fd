"""Golden files: what generators, directions and losses compute, as numbers to compare later code with.

    python tests/golden/make.py [CASE ...]

writes `tests/golden/CASE.safetensors`, all of them by default; `tests/test_golden.py` compares. Make a file
anew only where its numbers are meant to change, and say why in the commit. A case is a name of CASES and
returns named tensors: outputs, gradients, statistics of parameters. They are small: pictures are averaged
down, large tensors are projected to four fixed random directions.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

FOLDER = Path(__file__).parent
sys.path[:0] = [str(FOLDER.parent.parent), str(FOLDER.parent)]

from synthetic_checkpoints import nvidia, stylegan1  # noqa: E402

from backends import losses  # noqa: E402
from backends.generators import Generator  # noqa: E402
from directions import DirectionSource  # noqa: E402
from plugins import build  # noqa: E402

Tensors = dict[str, Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    for case in parser.parse_args().cases or CASES:
        save_file({key: value.contiguous() for key, value in CASES[case]().items()}, file(case))


def file(case: str) -> Path:
    return FOLDER / f"{case}.safetensors"


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def projected(x: Tensor) -> Tensor:
    """The last axis on four random directions."""
    return x.double() @ random(x.shape[-1], 4).double() / x.shape[-1] ** 0.5


def statistics(tensors: Tensors) -> Tensor:
    """(tensors in the order of their names, 3): mean, standard deviation, largest absolute value."""
    ordered = [value.detach().double() for _, value in sorted(tensors.items())]
    return torch.stack([torch.stack([x.mean(), x.std(correction=0), x.abs().max()]) for x in ordered])


# Generators: pictures, previews, maps after every layer, gradients of the latents, parameters.


def generator(settings: dict[str, object]) -> Tensors:
    subject = build(Generator, settings)
    latents = subject.sample([0, 1])
    moved = latents + 0.3 * random(*latents.shape)  # every layer a vector of its own
    variable = moved[:1].clone().requires_grad_()
    picture = subject.synthesize(variable)
    (picture * random(*picture.shape)).mean().backward()
    assert variable.grad is not None
    with torch.no_grad():
        rendered, preview = subject.render(moved), subject.render(moved, preview=True)
        maps = [subject.activations(moved[:1], layer) for layer in range(subject.layers)]
    return {
        "latents": projected(latents),
        "mean": projected(subject.mean()),
        "picture": F.adaptive_avg_pool2d(picture.detach(), 16),
        "pixels": middle(picture.detach()),
        "rendered": F.adaptive_avg_pool2d(rendered, 16),
        "rendered pixels": middle(rendered),
        "preview": F.adaptive_avg_pool2d(preview, 16),
        "gradient": projected(variable.grad),
        "maps": torch.stack([F.adaptive_avg_pool2d(x[0, :3], 2).flatten() for x in maps]),
        "statistics of maps": statistics({f"{layer:02}": x for layer, x in enumerate(maps)}),
        "parameters": statistics(subject.parameters()),
    }


def middle(picture: Tensor) -> Tensor:
    """8 x 8 pixels, as they are."""
    return picture[:, :, picture.shape[2] // 2 :, picture.shape[3] // 2 :][:, :, :8, :8].clone()


def stylegan(name: str, state: Tensors) -> Tensors:
    """A generator with small random weights."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save(state, Path(folder) / "weights.pt")
        return generator({"name": name, "weights": str(Path(folder) / "weights.pt")})


# Directions: the step of each, at two latents.


def directions(settings: dict[str, object]) -> Tensors:
    toy = build(Generator, {"name": "toy"})
    latents = toy.sample([0, 1])
    found = build(DirectionSource, {"count": 4, **settings}).directions(toy)
    return {direction.name: projected(direction.step(latents)) for direction in found}


# Losses: value of each image, and gradient.


def loss(name: str) -> Tensors:
    target, picture = (F.interpolate(random(2, 3, 12, 12, seed=s), size=160).tanh() for s in (0, 1))
    picture.requires_grad_()
    window = losses.window(160, 20.0)
    if name == "pixel":
        values = losses.pixel(picture, target, window)
    elif name == "perceptual":
        features = [losses.perceptual_features(x) for x in (picture, target)]
        values = losses.perceptual(*features, window)
    else:
        values = losses.identity(losses.descriptors(picture), losses.descriptors(target))
    values.sum().backward()
    assert picture.grad is not None
    return {"values": values.detach(), "gradient": F.adaptive_avg_pool2d(picture.grad, 8) * 20**2}


CASES: dict[str, Callable[[], Tensors]] = {
    "generator_toy": lambda: generator({"name": "toy"}),
    "generator_cats": lambda: generator({"name": "compact", "weights": "cats128"}),
    "generator_towers": lambda: generator({"name": "compact", "weights": "towers64", "size": 64}),
    "generator_mobilestylegan": lambda: generator({"name": "mobilestylegan"}),
    "generator_stylegan1": lambda: stylegan("stylegan1", stylegan1([6, 6, 6, 4], 16, "genforce")),
    "generator_stylegan2": lambda: stylegan("stylegan2", nvidia([16, 16, 32, 32, 32], 16)),
    "directions_sefa": lambda: directions({"name": "sefa"}),
    "directions_ganspace": lambda: directions({"name": "ganspace"}),
    "losses_pixel": lambda: loss("pixel"),
    "losses_perceptual": lambda: loss("perceptual"),
    "losses_identity": lambda: loss("identity"),
}
FETCHED = (
    "generator_mobilestylegan",
    "losses_perceptual",
    "losses_identity",
)  # cases whose weights are fetched

if __name__ == "__main__":
    main()
