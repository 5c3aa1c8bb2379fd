"""Public checkpoints: what a file is, and its network in our own layout. Nothing in a file is ever executed.

    inspect(path)       a Report: family, layout, size, rows, which plugin reads it
    load(path)          the canonical state dict, from any layout, in memory of its own
    convert(path, out)  writes that as safetensors

`containers.py` opens the file, `unpickle.py` reads pickles, `layouts/` know who wrote what.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

import plugins
from backends.checkpoints import containers
from backends.checkpoints.layouts import Layout, found
from backends.checkpoints.objects import CheckpointError

__all__ = ["CheckpointError", "Report", "convert", "inspect", "load"]


@dataclass(frozen=True)
class Report:
    """What a checkpoint is; plain data, for people and for JSON."""

    family: str  # "StyleGAN2"
    layout: str  # who wrote it so: "rosinality, g_ema"
    plugin: str  # folder and name of the plugin that reads it: "generators/stylegan2"; empty if none does
    parameters: int  # numbers in the part that is read
    size: int = 0  # side of the picture, pixels
    rows: int = 0  # style vectors per picture
    dim: int = 0  # length of one
    note: str = ""


def inspect(path: Path | str) -> Report:
    """What the file holds, from its keys and shapes alone. Raises CheckpointError."""
    layout, part = _recognised(Path(path))
    with _shapes(Path(path), layout):
        facts = layout.facts(part)
    return Report(
        family=layout.family,
        layout=layout.title,
        plugin=layout.plugin,
        parameters=sum(math.prod(value.shape) for value in part.values() if isinstance(value, Tensor)),
        **facts,
    )


def load(path: Path | str, plugin: str = "") -> dict[str, Tensor]:
    """The state dict of the plugin's network ("generators/stylegan2"; empty: of whatever it is).

    Raises CheckpointError when the file is something else.
    """
    layout, part = _recognised(Path(path), plugin)
    if not layout.plugin:
        raise CheckpointError(
            f"{Path(path).name} is {layout.family} ({layout.title}); no plugin reads that yet"
        )
    with _shapes(Path(path), layout):
        state = layout.translate(part)
    # The part is a map of the file. What was not computed from it is copied: a process that touches the map
    # of a file that somebody has shortened since is killed.
    mapped = {value.untyped_storage().data_ptr() for value in part.values()}
    return {
        key: value.clone() if value.untyped_storage().data_ptr() in mapped else value
        for key, value in state.items()
    }


def convert(path: Path | str, out: Path | str) -> Report:
    """Writes the canonical state of `path` to the safetensors file `out`. Raises CheckpointError."""
    report, state = inspect(path), load(path)
    facts = {"family": report.family, "size": report.size, "rows": report.rows, "dim": report.dim}
    # copies, as safetensors refuses tensors that share memory
    tensors = {key: value.detach().clone().contiguous() for key, value in state.items()}
    save_file(tensors, out, {**{k: str(v) for k, v in facts.items()}, "source": report.layout})
    return report


@contextmanager
def _shapes(path: Path, layout: Layout) -> Iterator[None]:
    """Says of which file and layout something is wrong."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} ({layout.title}): {error}") from error
    except (IndexError, KeyError, RuntimeError, TypeError) as error:  # tensors with another number of axes
        raise CheckpointError(f"{path.name} has the keys but not the shapes of {layout.title}") from error


def _recognised(path: Path, plugin: str = "") -> tuple[Layout, dict[str, Tensor]]:
    """The first layout that finds its part in the file. Raises CheckpointError listing what there is."""
    tree = containers.read(path)
    layouts = [plugins.find(Layout, name)() for name in plugins.names(Layout)]  # pyright: ignore[reportAbstractUsage]
    matches = [(layout, part) for layout in layouts if (part := layout.find(tree)) is not None]
    wanted = [match for match in matches if plugin in ("", match[0].plugin)]
    # A file may hold an encoder beside its generator, so a caller that wants one says so.
    if wanted:
        return wanted[0]
    if matches:
        raise CheckpointError(
            f"{path.name} is {matches[0][0].family} ({matches[0][0].title}), not what {plugin} reads"
        )
    known = "; ".join(sorted({f"{layout.family}: {layout.title}" for layout in layouts}))
    raise CheckpointError(f"{path.name} fits no known layout. It holds {found(tree)}. Known: {known}")
