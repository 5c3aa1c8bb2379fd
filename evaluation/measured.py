"""Effects that were measured before, in the cache: an interrupted evaluation continues, and a source that is
added to it is the only one to be rendered."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends import cache
from directions import Direction
from evaluation.effects import Effect, Measure

COUNTED = ("scorers", "samples", "seed", "truncation", "step", "identity")  # settings that decide the numbers


def effects(measure: Measure, directions: Sequence[Direction], source: str = "") -> dict[str, Effect]:
    """By the name of the direction; measured where the cache has none."""
    return {d.name: effect(measure, d) for d in tqdm(directions, source or "directions", disable=None)}


def effect(measure: Measure, direction: Direction) -> Effect:
    """The effect from the cache, or a new one, which is kept."""
    file = cache.folder() / "effects" / f"{key(measure, direction)}.json"
    kept = read_json(file)
    try:
        changes, agreement = torch.tensor(kept["changes"]), torch.tensor(kept["agreement"])
        if changes.shape == agreement.shape == (len(measure.names),):
            return Effect(changes, agreement, float(kept["identity"]))
    except (KeyError, TypeError, ValueError):  # not there, or damaged
        pass
    new = measure.effect(direction)
    numbers = {"changes": new.changes.tolist(), "agreement": new.agreement.tolist(), "identity": new.identity}
    write_json(file, {"direction": direction.name, "scores": measure.names, **numbers})
    return new


def key(measure: Measure, direction: Direction) -> str:
    """Changes with the generator, the evaluation, and with what the direction adds to two of the samples."""
    settings = {name: value for name, value in asdict(measure.evaluation).items() if name in COUNTED}
    contents = [scorer.content() for scorer in measure.scorers]
    text = json.dumps([measure.generator.fingerprint, settings, contents], sort_keys=True, default=str)
    return hashlib.sha256(text.encode() + _bytes(direction.step(measure.latents[:2]))).hexdigest()[:32]


def _bytes(step: Float[Tensor, "n layers dim"]) -> bytes:
    """The last digits, in which two machines may differ, do not count."""
    return step.detach().cpu().to(torch.bfloat16).view(torch.int16).numpy().tobytes()


def read_json(file: Path) -> dict[str, Any]:
    """The mapping in a file; a missing or damaged one counts as empty, as it can be measured again."""
    try:
        content = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_json(file: Path, content: dict[str, Any]) -> None:
    """The file is there whole or not at all; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with cache.whole(file) as partial:
        partial.write_text(json.dumps(content, indent=1) + "\n")
