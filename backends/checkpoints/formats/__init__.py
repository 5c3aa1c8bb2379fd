"""Format: who wrote a checkpoint, told from keys and shapes. The contract; every public module is one."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from torch import Tensor

from backends.checkpoints.objects import Array, CheckpointError, Opaque

MOST = 4_000  # tensors of one network; the largest public ones have 800

# Where public files keep a state dict, the average of the training run before its last step.
PLACES = ("g_ema", "G_ema", "generator_smooth", "generator_ema", "params_ema", "generator", "G", "g")
PLACES += ("state_dict", "model", "models", "params")
Names = Mapping[str, Callable[[re.Match[str]], str]]  # pattern of a module's name -> our name for it


class Keys(NamedTuple):
    """How the keys of a format become ours."""

    modules: Names
    tails: Mapping[str, str]  # what follows the name of a module -> the same in ours
    whole: Mapping[str, str]  # other keys


class State(dict[str, Tensor]):
    """Tensors by key, and the plain values that the file records beside them."""

    def __init__(self, tensors: Mapping[str, Tensor], settings: Mapping[str, Any] | None = None):
        super().__init__(tensors)
        self.settings = dict(settings or {})


class Contents:
    """What a file holds: anything at all in `tree`, and the state dicts in it."""

    def __init__(self, tree: Any) -> None:
        self.tree = tree

    @cached_property
    def states(self) -> list[State]:
        """Every state dict at a usual place, the most likely one first."""
        return [state for place in _places(self.tree) if (state := tensors(place))]

    def first(self, fits: Callable[[State], bool], prefix: str = "") -> State | None:
        """The first state dict that `fits`, or the part of one whose keys start with `prefix`."""
        parts = [[state, tensors(state, prefix)] if prefix else [state] for state in self.states]
        return next((part for pair in parts for part in pair if fits(part)), None)

    def tensor(self, name: str) -> Tensor | None:
        """A tensor at the top level of the file."""
        return tensor(self.tree.get(name)) if isinstance(self.tree, dict) else None


class Format(ABC):
    """Has no settings: it finds its part of one checkpoint and translates that into our own names."""

    title: ClassVar[str]  # who writes it, and where in the file
    assumed: ClassVar[str] = ""  # settings of the network that no such file records
    family: str = ""  # of networks: "StyleGAN2"; set by `find` where a format has several
    plugin: str = ""  # folder and name of the plugin that reads the translation; "" if there is none

    @abstractmethod
    def find(self, contents: Contents) -> State | None:
        """The part of the checkpoint that has this format, without prefixes; None if it has none.

        Looks at keys and shapes only, and expects anything at all.
        """

    @abstractmethod
    def facts(self, state: State) -> dict[str, Any]:
        """Fields of the Report: size, layers, dim, note. Raises CheckpointError for what cannot be right."""

    def translate(self, state: State) -> dict[str, Tensor]:
        """The plugin's state dict, of a state in float32. Raises CheckpointError."""
        raise CheckpointError(f"no plugin reads {self.family} yet")


def tensor(value: Any) -> Tensor | None:
    """The tensor that an object of a checkpoint is, if it is one."""
    return value.tensor if isinstance(value, Array) else value if isinstance(value, Tensor) else None


def tensors(tree: Any, prefix: str = "") -> State:
    """The tensors of a state dict, or of a whole module, whose keys start with `prefix`, which is removed.

    So is the `module.` in front of all keys of a network that was trained on several devices.
    """
    settings = tree.settings if isinstance(tree, State) else {}
    entries = _module(tree, settings) if isinstance(tree, Opaque) else _named(tree)
    found = {key: value for key, item in entries if (value := tensor(item)) is not None}
    if len(found) > MOST:
        raise CheckpointError(f"{len(found):,} tensors in one network; none has more than {MOST:,}")
    for start in ("module.", prefix, "module."):
        if start == prefix or all(key.startswith(start) for key in found):
            found = {key.removeprefix(start): found[key] for key in found if key.startswith(start)}
    return State(found, settings)


def renamed(state: State, keys: Keys) -> State:
    """The state in our names; what has none is dropped."""
    result = State({ours: state[key] for key, ours in keys.whole.items() if key in state}, state.settings)
    for key, value in state.items():
        for tail, ours in keys.tails.items():
            for pattern, name in keys.modules.items():
                if key.endswith(tail) and (match := re.fullmatch(pattern, key.removesuffix(tail))):
                    result[f"{name(match)}.{ours}"] = value
    return result


def found(tree: Any) -> str:
    """A short list of what is in a checkpoint, for the message that refuses it."""
    if isinstance(tree, dict):
        names = [f"{_label(key)}: {_kind(value)}" for key, value in list(tree.items())[:6]]
        return f"{len(tree)} entries ({', '.join(names)}{', ...' if len(tree) > 6 else ''})"
    return _kind(tree)


def _label(key: Any) -> str:
    return str(key)[:40] if isinstance(key, str | int) else type(key).__name__


def _kind(value: Any) -> str:
    if isinstance(value, Opaque):
        return f"an object {value.path[:60]}"
    if (numbers := tensor(value)) is not None:
        return f"tensor {tuple(numbers.shape)}"
    return f"dict of {len(value)}" if isinstance(value, dict) else type(value).__name__


def _places(tree: Any) -> Iterator[Any]:
    """Every value of PLACES in the tree and in those values, then the tree itself."""
    outer = [tree[name] for name in PLACES if name in tree] if isinstance(tree, dict) else []
    for place in outer:
        yield from [place[name] for name in PLACES if name in place] if isinstance(place, dict) else []
        yield place
    yield tree


def _module(module: Opaque, settings: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The state dict of a recorded torch module, whose plain attributes go to `settings`.

    A module that turns up twice is read once.
    """
    waiting, seen = [("", module)], {id(module)}
    while waiting:
        prefix, current = waiting.pop()
        state = current.state
        if current.arguments and isinstance(current.arguments[0], dict):  # NVIDIA's: an argument
            state = current.arguments[0].get("state")
        if not isinstance(state, dict) or len(prefix) > 200:
            continue
        for name, value in _named(state):
            if value is None or isinstance(value, bool | int | float | str):
                settings[f"{prefix}{name}"] = value
        for group in ("_parameters", "_buffers", "_modules"):
            for name, value in _named(state.get(group)):
                if isinstance(value, Opaque) and id(value) not in seen:
                    seen.add(id(value))
                    waiting.append((f"{prefix}{name}.", value))
                elif isinstance(value, Array):
                    yield f"{prefix}{name}", value


def _named(values: Any) -> list[tuple[str, Any]]:
    """The items of a dict whose keys are names."""
    return [(k, v) for k, v in values.items() if isinstance(k, str)] if isinstance(values, dict) else []
