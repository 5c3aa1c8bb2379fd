"""Direction ids: what an edit, a link and the command line call a direction."""

from dataclasses import dataclass

from config import ConfigError

LONGEST_ID = 600  # characters of an id: "smile | keep" and every other attribute after it
LONGEST_LAYERS = 100  # characters of a list of layers: every one of 30 by its number, and some more
SYNTAX = "write, say, 'smile', 'SeFa@0-2/SeFa 1' or 'smile | keep gender, age'"


@dataclass(frozen=True)
class DirectionId:
    """`source@layers/name | keep a, b`, of which only the name is required.

    Parsing gives the id back: `parse(str(each)) == each`. Raises ConfigError for parts that could not be read
    again, and for ids of more than LONGEST_ID characters.
    """

    name: str  # of the direction in its source
    source: str = ""  # label of the source in the domain's YAML; empty: whichever has the name
    layers: str = ""  # as `parse_layers` reads them, without spaces; empty: the source's own
    keep: tuple[str, ...] = ()  # names of directions that this one leaves as they are

    def __post_init__(self) -> None:
        names = (self.name, *self.keep)
        good = all(names) and all(part == part.strip() and "|" not in part for part in (*names, self.source))
        good &= not any("," in name for name in self.keep)
        good &= not set(self.source) & set("@/") and not set(self.layers) & set("/|")
        good &= self.layers == "".join(self.layers.split()) and len(self.layers) <= LONGEST_LAYERS
        good &= bool(self.source) or (not self.layers and "/" not in self.name)
        if not good or len(str(self)) > LONGEST_ID:
            raise ConfigError(f"no direction is called {str(self)[:80]!r}; {SYNTAX}")

    @staticmethod
    def parse(text: str) -> "DirectionId":
        """The id that a text spells; spaces around its parts do not count. Raises ConfigError."""
        name, keep = split_conditions(text)
        place, slash, rest = name.partition("/")
        if not slash:
            return DirectionId(name, keep=keep)
        source, _, layers = place.partition("@")
        if not source.strip():
            raise ConfigError(f"no direction is called {text[:80]!r}: the source is missing; {SYNTAX}")
        return DirectionId(rest.strip(), source.strip(), "".join(layers.split()), keep)

    @property
    def within(self) -> str:
        """The name that the source itself knows: "smile | keep gender"."""
        return f"{self.name} | keep {', '.join(self.keep)}" if self.keep else self.name

    def __str__(self) -> str:
        layers = f"@{self.layers}" if self.layers else ""
        return f"{self.source}{layers}/{self.within}" if self.source else self.within


def split_conditions(text: str) -> tuple[str, tuple[str, ...]]:
    """A name and what it keeps: "smile | keep a, b" -> "smile", ("a", "b"). Raises ConfigError."""
    if len(text) > LONGEST_ID:
        raise ConfigError(f"a direction's name has at most {LONGEST_ID} characters; {SYNTAX}")
    name, bar, conditions = text.partition("|")
    word, _, others = conditions.strip().partition(" ")
    keep = tuple(other.strip() for other in others.split(",") if other.strip())
    if bar and (word.lower() != "keep" or not keep):
        raise ConfigError(f"no direction is called {text!r}; {SYNTAX}")
    return name.strip(), keep
