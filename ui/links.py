"""Links: `?share=ID` names a record of the ShareStore, `?domain=&seed=&edit=` says everything itself."""

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from config import UserError
from ui.state import Panel

LONGEST = 6000  # characters of a query; proxies in front of a server often stop at 8 KB
MOST_EDITS = 64
SEEDS = 2**32
WHOLE = re.compile(r"[0-9]{1,10}")


class LinkError(UserError):
    """A link that says nothing usable; the message is for the page."""


@dataclass(frozen=True)
class SeedLink:
    """A generated picture: small enough to be in the link itself, so that it works for ever."""

    domain: str
    seed: int
    edit: dict[str, float] = field(default_factory=dict)
    panel: Panel = field(default_factory=Panel)


def seed_query(link: SeedLink) -> str:
    """The query string of a SeedLink. Raises LinkError when it would be too long."""
    pairs: list[tuple[str, str]] = [("domain", link.domain), ("seed", str(link.seed))]
    pairs += [("source", link.panel.source), ("layers", link.panel.layers), ("count", str(link.panel.count))]
    pairs += [("keep", name) for name in link.panel.keep]
    pairs += [("edit", f"{name}={value:.4g}") for name, value in link.edit.items()]
    query = "?" + urlencode(pairs, quote_via=quote, safe="/:,@")
    if len(query) > LONGEST or len(link.edit) > MOST_EDITS:
        raise LinkError("Too many sliders were moved for a link; reset some, or download the latent instead.")
    return query


def parsed(query: str) -> dict[str, list[str]]:
    """The fields of a query string. Raises LinkError for more than any link of ours has."""
    try:
        found = parse_qs(query.removeprefix("?"), max_num_fields=MOST_EDITS + 36)
    except ValueError:
        found = None
    if found is None or sum(len(value) for values in found.values() for value in values) > LONGEST:
        raise LinkError("This link is too long to be one of ours.")
    return found


def read_seed_link(query: Mapping[str, list[str]]) -> SeedLink:
    """The SeedLink that a parsed query describes. Raises LinkError."""

    def one(key: str, default: str) -> str:
        return query.get(key, [default])[0]

    edit: dict[str, float] = {}
    for text in query.get("edit", []):
        name, _, value = text.rpartition("=")
        if not name:
            raise LinkError("This link is damaged: an edit in it has no name.")
        edit[name] = _number(value)
    seed, count = one("seed", "0"), one("count", "10")
    if not WHOLE.fullmatch(seed) or int(seed) >= SEEDS:
        raise LinkError(f"This link is damaged: its seed is not a whole number from 0 to {SEEDS - 1}.")
    if not WHOLE.fullmatch(count):
        raise LinkError("This link is damaged: its number of sliders is not a whole number.")
    keep = tuple(sorted(set(query.get("keep", []))))
    panel = Panel(one("source", ""), one("layers", "all"), int(count), keep)
    return SeedLink(one("domain", ""), int(seed), edit, panel)


def address(query: str, headers: Mapping[str, str]) -> str:
    """The whole link: this query on the page that the visitor sees."""
    # inside huggingface.co's frame the address bar shows another page
    if host := os.environ.get("SPACE_HOST"):
        return f"https://{host}/{query}"
    page = urlsplit(headers.get("referer", ""))
    if page.scheme in ("http", "https") and page.netloc:
        return f"{page.scheme}://{page.netloc}{page.path or '/'}{query}"
    return f"http://{headers.get('host', 'localhost')}/{query}"


def finite(value: object) -> float | None:
    """A number that a browser sent; None for anything else, and for what is not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) <= sys.float_info.max else None  # integers may have hundreds of digits


def _number(text: str) -> float:
    try:
        value = finite(float(text))
    except ValueError:
        value = None
    if value is None:
        raise LinkError("This link is damaged: a slider value in it is not a number.")
    return value
