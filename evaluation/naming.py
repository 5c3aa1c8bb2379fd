"""Names for directions that have only numbers, from what they do: "older (SeFa 3)".

Measuring takes minutes to hours, so results are kept by generator and by the settings of the source; those of
the project's own domains are in `configs/evaluation/names/`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path

from backends import cache
from config import CONFIGS, resolve
from directions import DirectionSource
from editor import Editor
from evaluation.effects import Effect, read_json, write_json
from evaluation.settings import Evaluation

SHIPPED = CONFIGS / "evaluation" / "names"
WEAK = 0.75  # standard deviations: what changes no score by more at the end of its slider has no name
USUAL = 3.0  # strength at the end of most sliders; shorter ones are judged as if they went so far
BROKEN = 0.5  # share of pictures that must still show the same person, or else an impure direction destroys


@dataclass(frozen=True)
class Named:
    """What the page shows beside a slider."""

    label: str  # "older (SeFa 3)"; the direction's own name where it has a good one
    purity: float  # 0...1, share of the named effect in all effects
    effect: float  # of one unit of strength on the named score, standard deviations
    identity: float  # share of pictures that still show the same person
    kind: str = "named"  # "named", "weak" (does nothing) or "destroys"


def measured(editor: Editor, source: DirectionSource) -> dict[str, Named]:
    """Direction -> name, of a source with any settings; empty when nobody has measured it with these.

    Reads a small file, never renders.
    """
    known = read_json(SHIPPED / f"{editor.name}.json") | read_json(_kept(editor.name))
    found = known.get(key(editor.generator.fingerprint, source), {})
    return {name: Named(**settings) for name, settings in found.items()}


def key(fingerprint: str, source: DirectionSource) -> str:
    """Changes with the generator, with every setting that decides what the directions are, and with the
    content of the files that the settings name.

    Settings at their defaults do not count, so that a source may get new ones.
    """
    usual = {
        f.name: f.default if f.default_factory is MISSING else f.default_factory() for f in fields(source)
    }
    settings = {k: v for k, v in asdict(source).items() if k != "count" and v != usual[k]}
    files = [resolve(file) for file in (settings.get("file"), *settings.get("files", {}).values()) if file]
    contents = [cache.digest(file) for file in files if file.is_file()]
    parts = [fingerprint, type(source).__module__, settings, *contents]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:24]


def name(
    direction: str, effect: Effect, evaluation: Evaluation, scores: list[str], end: float = USUAL
) -> Named:
    """The name of one direction whose slider goes to `end`.

    One that has a name instead of a number keeps it, and is judged by what `sliders` says that it promises.
    """
    columns = [scores.index(score) for score in evaluation.words]
    promised = direction in evaluation.sliders
    best = scores.index(evaluation.promise(direction)[0]) if promised else effect.largest(columns)
    change, purity = float(effect.changes[best]), effect.purity(columns, best)
    size = abs(change) / evaluation.step
    broken = effect.identity < BROKEN and purity < 0.3
    kind = "weak" if size * max(end, USUAL) < WEAK else "destroys" if broken else "named"
    label = direction
    if not promised and direction[-1].isdecimal():
        known = {"weak": "hardly anything", "destroys": "destroys"}
        label = f"{known.get(kind) or evaluation.words[scores[best]][change < 0]} ({direction})"
    return Named(label, round(purity, 3), round(size, 3), round(effect.identity, 3), kind)


def keep(domain: str, entries: Mapping[str, Mapping[str, Named]], file: Path | None = None) -> None:
    """Adds measured names (key -> direction -> name) to a file, by default in the cache."""
    file = file or _kept(domain)
    new = {source: {name: asdict(row) for name, row in rows.items()} for source, rows in entries.items()}
    write_json(file, read_json(file) | new)


def _kept(domain: str) -> Path:
    return cache.folder() / "names" / f"{domain}.json"
