"""What a browser says of its sliders, which may be anything: read, checked, and kept within their ranges."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from config import ConfigError
from ui.semantics import POOL, Shown


@dataclass(frozen=True)
class Moves:
    """The value of every slider, by the identity of its direction."""

    values: dict[str, float]
    held: bool  # the visitor still moves one


def read(said: object) -> Moves:
    """What `window.moves` in ui/sliders.js makes. Raises ConfigError for anything else."""
    moves = said if isinstance(said, dict) else {}
    values = moves.get("values")
    if not isinstance(values, dict) or len(values) > POOL:
        raise ConfigError("The sliders did not say what they are set to. Please reload the page.")
    return Moves({str(name): _number(value) for name, value in values.items()}, moves.get("held") is True)


def drawn(said: object) -> int:
    """How many thumbnails the browser says that it has."""
    rows = said.get("drawn") if isinstance(said, dict) else 0
    return rows if isinstance(rows, int) else 0


def within(listed: Sequence[Shown], values: Mapping[str, float]) -> tuple[dict[str, float], str]:
    """The values of directions that are shown, each in its range; and what is wrong with the others.

    Directions that are not shown are left out: a browser may speak of those that it showed a moment ago.
    """
    kept, wrong = {}, []
    for each in listed:
        if each.identity in values:
            (low, high), value = each.ends, values[each.identity]
            kept[each.identity] = min(max(value, low), high)
            if value != kept[each.identity]:
                wrong.append(f"{each.label} goes from {low:g} to {high:g}, not to {value:g}.")
    return kept, " ".join(wrong)


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer with hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise ConfigError("The value of a slider must be a number.")
    return number
