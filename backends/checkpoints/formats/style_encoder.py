"""Encoders into W+: e4e, pSp and ReStyle (`encoder.*` of a `.pt`), IDInvert, pytorch_stylegan_encoder."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from backends.checkpoints.formats import Contents, Format, State, rosinality
from backends.checkpoints.formats import _stylegan as stylegan
from backends.checkpoints.objects import CheckpointError, Opaque
from backends.networks import encoders

NOTES = {
    "pyramid": "e4e, pSp or ReStyle",
    "single": "pSp's SingleStyleCodeEncoder: one w for all layers",
    "idinvert": "IDInvert",
    "image_to_latent": "pytorch_stylegan_encoder",
    "lite": "made by training/encoder.py",
}
KEYS = {  # that belong to the encoder; training code adds others, which nothing reads
    "pyramid": r"(input_layer|body|styles|latlayer[12])\..*",
    "single": r"(input_layer|body|linear)\..*",
    "idinvert": r"block\d+\..*",
    "image_to_latent": r".*",
    "lite": r".*",
}
EXTRA = ("deltas", "latent_avg")  # that our own files have beside them
ON_AVERAGE = (
    "its output is added to the average latent, which is not in the file (neither latent_avg nor decoder.*)"
)


class StyleEncoder(Format):
    family = "encoder into W+"
    title = "e4e, pSp, ReStyle .pt (encoder.*), IDInvert encoder .pth, image_to_latent.pt"
    plugin = encoders.PLUGIN

    def find(self, contents: Contents) -> State | None:
        found = contents.first(lambda state: bool(encoders.kind(state)), "encoder.")
        if found is None:
            return None
        kind = encoders.kind(found)
        state = State({k: v for k, v in found.items() if k in EXTRA or re.fullmatch(KEYS[kind], k)})
        if kind not in ("pyramid", "single") or "deltas" in state:  # ours, or one without options
            return state
        options = _options(contents.tree)
        name = options.get("encoder_type")
        name = name if isinstance(name, str) else "Encoder4Editing"
        state["deltas"] = torch.tensor("Encoder4Editing" in name or "Progressive" in name)
        # ReStyle counts from the average whatever its options say
        refines = state["input_layer.0.weight"].shape[1:2] == (6,)
        if refines or options.get("start_from_latent_avg", True):
            average = contents.tensor("latent_avg")
            if average is None:
                state.settings["decoder"] = contents.first(rosinality.fits, "decoder.")
            else:
                state["latent_avg"] = average
        return state

    def facts(self, state: State) -> dict[str, Any]:
        try:
            with torch.device("meta"):
                network = encoders.load({k: v.to("meta") for k, v in state.items() if k not in EXTRA})
        except (KeyError, RuntimeError, IndexError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise CheckpointError(f"the encoder is incomplete: {reason}") from error
        layers, dim = int(network.layers), int(network.dim)  # type: ignore[arg-type]
        note = f"{NOTES[encoders.kind(state)]}, reads {network.channels} channels of 256 x 256 pixels"
        size = 2 << layers // 2 if layers > 1 else 0
        return {"size": size, "layers": layers, "dim": dim, "note": note}

    def translate(self, state: State) -> dict[str, Tensor]:
        facts = self.facts(state)
        if "decoder" in state.settings:
            state["latent_avg"] = _average(state.settings["decoder"])
        if "latent_avg" not in state:
            return dict(state)
        shape = state["latent_avg"].shape
        average = state["latent_avg"].reshape(-1, shape[-1])
        average = average[:1] if facts["layers"] == 1 else average
        if shape[-1] != facts["dim"] or len(average) not in (1, facts["layers"]):
            raise CheckpointError(f"its average latent has shape {tuple(shape)}")
        return state | {"latent_avg": average[None].expand(1, facts["layers"], -1)}


def _average(decoder: State | None) -> Tensor:
    """The decoder's mean of W, which the authors' code takes where a file has no `latent_avg`."""
    if decoder is None:
        raise CheckpointError(ON_AVERAGE)
    raw = rosinality.Rosinality().raw(State({key: value.float() for key, value in decoder.items()}))
    return stylegan.centre(stylegan.mapping(raw, stylegan.GAIN * stylegan.LEARNING_RATE))


def _options(tree: Any) -> Mapping[Any, Any]:
    """The options of the training run: a dict, or a Namespace in older files."""
    options = tree.get("opts") if isinstance(tree, dict) else None
    options = options.state if isinstance(options, Opaque) else options
    return options if isinstance(options, Mapping) else {}
