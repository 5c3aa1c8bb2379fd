"""Layout: who wrote a checkpoint, told from keys and shapes. The contract; every public module is one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor

from backends.checkpoints.objects import Array, Opaque

State = dict[str, Tensor]


class Layout(ABC):
    """Has no settings: it finds its part of a checkpoint and translates that into our own names."""

    family: ClassVar[str]  # of networks: "StyleGAN2"
    title: ClassVar[str]  # who writes it, and where in the file
    plugin: ClassVar[str]  # folder and name of the plugin that reads the translation; "" if there is none

    @abstractmethod
    def find(self, tree: Any) -> State | None:
        """The part of the checkpoint that has this layout, without prefixes; None if it has none.

        Looks at keys and shapes only, and expects anything at all in `tree`.
        """

    @abstractmethod
    def facts(self, part: State) -> dict[str, Any]:
        """Fields of the Report: size, rows, dim, note."""

    @abstractmethod
    def translate(self, part: State) -> State:
        """The plugin's state dict. Raises CheckpointError when the part is not as the layout has it."""


def tensors(tree: Any, prefix: str = "") -> State:
    """The tensors of a dict whose keys start with `prefix`, which is removed."""
    if not isinstance(tree, dict):
        return {}
    return {
        key.removeprefix(prefix): value
        for key, value in tree.items()
        if isinstance(key, str) and key.startswith(prefix) and isinstance(value, Tensor)
    }


def among(tree: Any, names: list[str], known: Callable[[State], bool]) -> State | None:
    """The first of tree[name], or the tree itself, that is a state dict which `known` recognises."""
    inner = [tree[name] for name in names if isinstance(tree, dict) and name in tree]
    for candidate in [*inner, tree]:
        state = tensors(candidate)
        if known(state):
            return state
    return None


def found(tree: Any) -> str:
    """A short list of what is in a checkpoint, for the message that refuses it."""
    if isinstance(tree, dict):
        names = [f"{_label(key)}: {_kind(value)}" for key, value in list(tree.items())[:6]]
        return f"{len(tree)} entries ({', '.join(names)}{', ...' if len(tree) > 6 else ''})"
    return _kind(tree)


def _label(key: Any) -> str:
    return str(key)[:40] if isinstance(key, str | int) else type(key).__name__


def _kind(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"tensor {tuple(value.shape)}"
    if isinstance(value, Opaque):
        return f"an object {value.path[:60]}"
    if isinstance(value, Array):
        return "an array"
    if isinstance(value, dict):
        return f"dict of {len(value)}"
    return type(value).__name__
