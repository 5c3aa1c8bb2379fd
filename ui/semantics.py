"""What the sliders show: directions with their measured names, those that are worth trying first."""

from dataclasses import dataclass, replace

from directions import Direction, DirectionId, DirectionSource
from editor import Edit, Editor
from evaluation import naming
from evaluation.naming import Named
from ui.state import Panel

POOL = 32  # sliders on the page; more directions than that are not offered at once


@dataclass(frozen=True)
class Shown:
    """One slider."""

    identity: str  # what an edit calls the direction
    direction: Direction
    row: int  # place in the source, and in its sheet of thumbnails
    named: Named | None = None  # None: nobody has measured what it does

    @property
    def label(self) -> str:
        """The measured name, with the source's own number; conditions are said elsewhere."""
        return self.named.label if self.named else DirectionId.parse(self.identity).name

    @property
    def ends(self) -> tuple[float, float]:
        """Lowest and highest value of the slider."""
        return round(self.direction.low, 4), round(self.direction.high, 4)


def source(editor: Editor, panel: Panel) -> DirectionSource:
    """The direction source with the settings of a panel. Raises ConfigError."""
    return editor.source(panel.source, panel.layers, POOL)


def shown(editor: Editor, panel: Panel) -> list[Shown]:
    """One entry a slider; what does nothing, or only destroys the picture, comes last. Raises ConfigError."""
    listed = list(editor.directions(panel.source, panel.layers, panel.count).items())[:POOL]
    # measured without conditions: what a conditional direction does is not known
    names = {} if panel.keep else naming.measured(editor, source(editor, panel))
    found = []
    for row, (identity, direction) in enumerate(listed):
        wanted = conditional(identity, panel.keep)
        if wanted != identity:
            direction = editor.direction(wanted)
        found.append(Shown(wanted, direction, row, names.get(direction.name)))
    return sorted(found, key=lambda each: each.named is not None and each.named.kind != "named")


def conditions(editor: Editor, panel: Panel) -> list[str]:
    """Attributes that the directions of a panel can leave as they are. Raises ConfigError."""
    listed = editor.directions(panel.source, panel.layers, panel.count).values()
    return list(dict.fromkeys(name for direction in listed for name in direction.conditions))


def conditional(identity: str, keep: tuple[str, ...]) -> str:
    """The same attribute, changed without those that are to be kept."""
    plain = DirectionId.parse(identity)
    return str(replace(plain, keep=tuple(name for name in keep if name != plain.name)))


def carried(edit: Edit, before: Panel, after: Panel) -> Edit:
    """The edit after other attributes were chosen to be kept: the same sliders, by their new names."""
    if replace(before, keep=()) != replace(after, keep=()):
        return edit
    return {
        conditional(name, after.keep)
        if DirectionId.parse(name).source == after.source and name == conditional(name, before.keep)
        else name: value
        for name, value in edit.items()
    }
