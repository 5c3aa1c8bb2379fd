"""Public checkpoints: what a file is, and its network in our own names. Nothing in a file is ever executed.

    inspect(path)       a Report: family, format, size, layers, which plugin reads it
    load(path)          the canonical state dict, from any format, in memory of its own
    convert(path, out)  writes that as safetensors

`files.py` opens the file, `pickles.py` reads pickles, `formats/` know who wrote what.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

import plugins
from backends.checkpoints import files
from backends.checkpoints.formats import Contents, Format, State, found
from backends.checkpoints.objects import CheckpointError

__all__ = ["CheckpointError", "Report", "convert", "inspect", "load", "save"]


@dataclass(frozen=True)
class Report:
    """What a checkpoint is; plain data, for people and for JSON."""

    family: str  # "StyleGAN2"
    format: str  # who wrote it so: "rosinality, g_ema"
    plugin: str  # folder and name of the plugin that reads it: "generators/stylegan2"; empty if none does
    parameters: int  # numbers in the part that is read
    size: int = 0  # side of the picture, pixels
    layers: int = 0  # style vectors per picture (W+)
    dim: int = 0  # length of one
    note: str = ""
    assumed: str = ""  # settings of the network that the file does not record


def inspect(path: Path | str) -> Report:
    """What the file holds, from its keys and shapes alone. Raises CheckpointError."""
    format, state = _recognised(Path(path))
    with _naming(Path(path), format):
        facts = format.facts(state)
    return Report(
        family=format.family,
        format=format.title,
        plugin=format.plugin,
        parameters=sum(math.prod(value.shape) for value in state.values()),
        assumed=format.assumed,
        **facts,
    )


def load(path: Path | str, plugin: str = "") -> dict[str, Tensor]:
    """The state dict of the plugin's network ("generators/stylegan2"; empty: of whatever it is), in float32.

    Raises CheckpointError when the file is something else.
    """
    format, state = _recognised(Path(path), plugin)
    single = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    with _naming(Path(path), format):
        translated = format.translate(State(single, state.settings))
    # The state is a map of the file. What was not computed from it is copied: a process that touches the map
    # of a file that somebody has shortened since is killed.
    mapped = {value.untyped_storage().data_ptr() for value in state.values()}
    return {
        key: value.clone() if value.untyped_storage().data_ptr() in mapped else value
        for key, value in translated.items()
    }


def convert(path: Path | str, out: Path | str) -> Report:
    """Writes the canonical state of `path` to the safetensors file `out`. Raises CheckpointError."""
    report, state = inspect(path), load(path)
    facts = {key: str(getattr(report, key)) for key in ("family", "size", "layers", "dim")}
    save(state, out, facts | {"source": report.format})
    return report


def save(state: Mapping[str, Tensor], out: Path | str, notes: dict[str, str] | None = None) -> None:
    """Writes a safetensors file of copies, as it refuses tensors that share memory."""
    save_file({key: value.detach().clone().contiguous() for key, value in state.items()}, out, notes)


@contextmanager
def _naming(path: Path, format: Format) -> Iterator[None]:
    """Says of which file and format something is wrong."""
    try:
        yield
    except CheckpointError as error:
        raise CheckpointError(f"{path.name} ({format.title}): {error}") from error
    except KeyError as error:
        raise CheckpointError(f"{path.name} ({format.title}): {error.args[0]} is missing") from error
    # tensors with another number of axes, settings of another type
    except (AttributeError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path.name} has the keys but not the shapes of {format.title}") from error


def _recognised(path: Path, plugin: str = "") -> tuple[Format, State]:
    """The first format that finds its part in the file. Raises CheckpointError listing what there is."""
    contents = Contents(files.read(path))
    formats = [plugins.find(Format, name)() for name in plugins.names(Format)]  # pyright: ignore[reportAbstractUsage]
    try:
        matches = [(format, state) for format in formats if (state := format.find(contents)) is not None]
    except CheckpointError as error:
        raise CheckpointError(f"{path.name}: {error}") from error
    wanted = [match for match in matches if plugin in ("", match[0].plugin)]
    # A file may hold an encoder beside its generator, so a caller that wants one says so.
    if wanted:
        return wanted[0]
    if matches:
        other, _ = matches[0]
        raise CheckpointError(f"{path.name} is {other.family} ({other.title}), not what {plugin} reads")
    known = "; ".join(sorted({f"{format.family}: {format.title}" for format in formats}))
    holds = found(contents.tree)
    raise CheckpointError(f"{path.name} fits no known format. It holds {holds}. Known: {known}")
