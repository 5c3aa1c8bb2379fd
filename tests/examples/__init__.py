"""Settings with which plugins are tested: `examples/KIND/NAME.py` has `settings(folder, generator)`.

A plugin without a file here is tested with its defaults; one that needs weights makes small ones in `folder`.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from backends.generators import Generator

HERE = Path(__file__).parent


def settings(kind: str, name: str, folder: Path, generator: Generator | None = None) -> dict[str, Any]:
    """The example's settings, without `name`."""
    if not (HERE / kind / f"{name}.py").is_file():
        return {}
    return import_module(f"examples.{kind}.{name}").settings(folder, generator)


def filled(network: torch.nn.Module) -> torch.nn.Module:
    """All weights random, so that none is without effect."""
    source = torch.Generator().manual_seed(0)
    for value in network.state_dict().values():
        value.add_(0.3 * torch.randn(value.shape, generator=source))
    return network.requires_grad_(False).eval()
