"""Encoders into W+: e4e, pSp and ReStyle (`encoder.*` of a `.pt`), IDInvert, pytorch_stylegan_encoder."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.layouts import Layout, State, tensors
from backends.checkpoints.objects import CheckpointError, Opaque
from backends.networks import encoders

NOTES = {
    "pyramid": "e4e, pSp or ReStyle",
    "idinvert": "IDInvert",
    "image_to_latent": "pytorch_stylegan_encoder",
}


class StyleEncoder(Layout):
    family = "encoder into W+"
    title = "e4e, pSp, ReStyle .pt (encoder.*), IDInvert encoder .pth, image_to_latent.pt"
    plugin = encoders.PLUGIN

    def find(self, tree: Any) -> State | None:
        if not isinstance(tree, dict):
            return None
        part = next(
            (p for p in (tensors(tree.get("state_dict"), "encoder."), tensors(tree)) if encoders.kind(p)), {}
        )
        if encoders.kind(part) != "pyramid" or "deltas" in part:  # ours, or one without options
            return part or None
        options = _options(tree)
        kind = options.get("encoder_type", "Encoder4Editing")
        part["deltas"] = torch.tensor("Encoder4Editing" in str(kind) or "Progressive" in str(kind))
        average, refines = tree.get("latent_avg"), part["input_layer.0.weight"].shape[1:2] == (6,)
        # ReStyle counts from the average whatever its options say
        if isinstance(average, Tensor) and (refines or options.get("start_from_latent_avg", True)):
            part["latent_avg"] = average
        return part

    def facts(self, part: State) -> dict[str, Any]:
        try:
            with torch.device("meta"):
                network = encoders.load({k: v.to("meta") for k, v in part.items() if k not in EXTRA})
        except (KeyError, RuntimeError, IndexError) as error:
            raise CheckpointError(
                f"the encoder is incomplete: {' '.join(str(error).split())[:200]}"
            ) from error
        note = f"{NOTES[encoders.kind(part)]}, reads {network.channels} channels of 256 x 256 pixels"
        return {"size": 2 << network.rows // 2, "rows": network.rows, "dim": network.dim, "note": note}  # pyright: ignore[reportOperatorIssue]

    def translate(self, part: State) -> State:
        facts = self.facts(part)
        state = {k: v.float() if v.is_floating_point() else v for k, v in part.items()}
        if "latent_avg" in state:
            average = state["latent_avg"].reshape(-1, state["latent_avg"].shape[-1])
            if average.shape[-1] != facts["dim"] or len(average) not in (1, facts["rows"]):
                raise CheckpointError(f"its average latent has shape {tuple(part['latent_avg'].shape)}")
            state["latent_avg"] = average[None].expand(1, facts["rows"], -1)
        return state


EXTRA = ("deltas", "latent_avg")


def _options(tree: dict[Any, Any]) -> Mapping[Any, Any]:
    """The options of the training run: a dict, or a Namespace in older files."""
    options = tree.get("opts")
    options = options.state if isinstance(options, Opaque) else options
    return options if isinstance(options, Mapping) else {}
