"""SeFa directions as rosinality's closed_form_factorization.py stores them (factor.pt)."""

from typing import Any

from backends.checkpoints.layouts import Layout, State, tensors
from backends.checkpoints.objects import CheckpointError


class Factor(Layout):
    family = "directions"
    title = "rosinality factor.pt (eigenvectors of a generator's styles)"
    plugin = ""

    def find(self, tree: Any) -> State | None:
        part = tensors(tree)
        return part if set(part) == {"eigvec"} and part["eigvec"].ndim == 2 else None

    def facts(self, part: State) -> dict[str, Any]:
        return {"dim": part["eigvec"].shape[0], "note": "directions, one per column; not a network"}

    def translate(self, part: State) -> State:
        raise CheckpointError("this is a direction file, to be given to a direction source")
