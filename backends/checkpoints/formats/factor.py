"""SeFa directions as rosinality's closed_form_factorization.py stores them (factor.pt): to be recognised."""

from typing import Any

from backends.checkpoints.formats import Contents, Format, State


class Factor(Format):
    family = "directions"
    title = "rosinality factor.pt (eigenvectors of a generator's styles)"

    def find(self, contents: Contents) -> State | None:
        return contents.first(lambda state: set(state) == {"eigvec"} and state["eigvec"].ndim == 2)

    def facts(self, state: State) -> dict[str, Any]:
        note = "directions, one per column, for a direction source; not a network"
        return {"dim": state["eigvec"].shape[0], "note": note}
