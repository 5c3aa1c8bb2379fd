"""The keys of a file in configs/evaluation/, one per domain that has scorers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from config import CONFIGS, ConfigError, checked, load
from evaluation.scorers import Scorer
from plugins import build

FOLDER = CONFIGS / "evaluation"


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
