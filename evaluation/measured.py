"""Effects that were measured before, in the cache: an interrupted evaluation continues, and a source that is
added to it is the only one to be rendered."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from backends import cache
from directions import Direction
from evaluation.effects import Effect, Measure

COUNTED = ("scorers", "samples", "seed", "truncation", "step", "identity")  # settings that decide the numbers


def effects(measure: Measure, directions: list[Direction], source: str = "") -> dict[str, Effect]:
    """By the name of the direction; measured where the cache has none."""
    return {d.name: effect(measure, d) for d in tqdm(directions, source or "directions", disable=None)}


def effect(measure: Measure, direction: Direction) -> Effect:
    """The effect from the cache, or a new one, which is kept."""
    file = cache.folder() / "effects" / f"{key(measure, direction)}.json"
    if (found := _read(file, len(measure.names))) is not None:
        return found
    new = measure.effect(direction)
    content = {
        "direction": direction.name,
        "scores": measure.names,
        "changes": new.changes.tolist(),
        "agreement": new.agreement.tolist(),
        "identity": new.identity,
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    with cache.whole(file) as partial:
        partial.write_text(json.dumps(content))
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


def _read(file: Path, scores: int) -> Effect | None:
    """None when it is not there, or damaged."""
    try:
        content = json.loads(file.read_text())
        changes, agreement = (torch.tensor(content[name]) for name in ("changes", "agreement"))
        identity = float(content["identity"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return Effect(changes, agreement, identity) if changes.shape == agreement.shape == (scores,) else None
