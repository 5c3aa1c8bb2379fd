"""The keys of a file in configs/evaluation/, one per domain that has scorers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from config import CONFIGS, ConfigError, checked, load
from evaluation.scorers import Scorer
from plugins import build

FOLDER = CONFIGS / "evaluation"


@dataclass
class MatchedEdit:
    """An edit that inverters are compared on, as strong for each as it takes to change a score by so much."""

    direction: str  # of the domain, as in `--set`: "smile", "SeFa/SeFa 1"
    score: str  # that more of the direction raises; with "-" before it: lowers
    change: float  # to more (or less) of the direction, in the score's own units
    either: bool = False  # for log-odds: what a photograph has is taken away, what it lacks is added
    again: bool = False  # also the manipulation round trip, which takes another inversion

    @property
    def column(self) -> str:
        """Name of the score."""
        return self.score.removeprefix("-")


@dataclass
class Inversions:
    """How the inverters of a domain are compared: `python cli.py evaluate inversion`."""

    edits: dict[str, MatchedEdit] = field(default_factory=dict)
    # Centre and half axes (x, y, x, y) of an ellipse around every head, in sides of the crop; what is outside
    # is background. Empty = the background is not measured.
    head: list[float] = field(default_factory=list)
    trained: dict[str, list[str]] = field(default_factory=dict)  # inverter -> judges that its training used
    published: dict[str, dict[str, float]] = field(default_factory=dict)  # method -> figures, to stand beside
    note: str = ""  # what is different about the published ones

    def __post_init__(self) -> None:
        if self.head and (len(self.head) != 4 or min(self.head[2:]) <= 0):
            raise ConfigError("head: expected [x, y, half width, half height] of an ellipse, in sides")
        if still := [name for name, edit in self.edits.items() if not edit.change]:
            raise ConfigError(f"edits: {still[0]}: change may not be 0")


@dataclass
class Evaluation:
    """How the directions of a domain are measured and named."""

    scorers: list[dict[str, Any]]  # preferably not those that directions were fitted to
    words: dict[str, list[str]]  # score -> what more of it is called, and what less; only these give names
    samples: int = 200  # every direction is tried on all of them, on one side each
    seed: int = 500_000  # of the first sample; boundaries were fitted to seeds from 0 on
    truncation: float = 0.7
    step: float = 1.0  # strength
    batch: int = 4
    identity: Literal["face", "features"] = "face"  # which features say whether it is still the same subject
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)  # to compare with, beside the domain's
    sliders: dict[str, str] = field(default_factory=dict)  # direction -> score it promises; "-young" = less

    # Names of `sliders` whose score is the log-odds of something that a picture has or lacks: the upper end
    # is tried on pictures that lack it, the lower end on pictures that have it.
    binary: list[str] = field(default_factory=list)
    inversion: Inversions = field(default_factory=Inversions)

    def __post_init__(self) -> None:
        if bad := [score for score, words in self.words.items() if len(words) != 2]:
            raise ConfigError(f"words: {bad[0]}: expected two, as in [brighter, darker]")
        if unknown := [name for name in self.binary if name not in self.sliders]:
            known = ", ".join(self.sliders) or "none"
            raise ConfigError(f"binary: {unknown[0]!r} is not one of the sliders, which are: {known}")

    def promise(self, slider: str) -> tuple[str, int]:
        """Score and sign of a direction of `sliders`."""
        score = self.sliders[slider]
        return score.removeprefix("-"), -1 if score.startswith("-") else 1

    def built(self) -> list[Scorer]:
        """The scorers. Raises ConfigError."""
        return [build(Scorer, settings, "scorers") for settings in self.scorers]


def read(domain: str, folder: Path = FOLDER, **overrides: Any) -> Evaluation:
    """The settings of a domain. Raises ConfigError for domains without scorers."""
    file = folder / f"{domain}.yaml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in folder.glob("*.yaml"))) or "none"
        raise ConfigError(f"the domain {domain!r} has no scorers; those with scorers: {known}")
    return checked(Evaluation, load(file) | overrides, f"evaluation/{file.name}")
