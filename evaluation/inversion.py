"""`python cli.py evaluate inversion`: all inverters of a domain on the same photographs, and their edits."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from config import ConfigError
from editor import Editor
from evaluation import inversion_tables, judges, metrics, scorers, settings
from evaluation.edits import background
from evaluation.inversion_tables import STORED_TITLE, EditRow, InversionRow, Tables
from evaluation.inversion_work import INVERSION, STORED, Work
from evaluation.judges import Judge
from evaluation.photographs import Photograph
from evaluation.scorers import Scorer
from evaluation.settings import Evaluation, Inversions
from evaluation.similarity import compare

log = logging.getLogger(__name__)


def wanted(domain: str, edits: str | None = None, round_trips: bool = True) -> Evaluation | None:
    """The evaluation of a domain with only those edits ("smile,older"; None = all); None if it has none.

    Raises ConfigError for an edit that is not in it.
    """
    try:
        evaluation = settings.read(domain)
    except ConfigError as error:
        if edits:
            raise
        log.warning("no edits are compared: %s", error)
        return None
    known = evaluation.inversion.edits
    names = list(known) if edits is None else [name.strip() for name in edits.split(",") if name.strip()]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"--edits: none is called {unknown[0]!r}; there are: {', '.join(known) or 'none'}")
    some = {name: replace(known[name], again=known[name].again and round_trips) for name in names}
    return replace(evaluation, inversion=replace(evaluation.inversion, edits=some))


@dataclass
class Comparison:
    """What all inverters are judged with, and what was found so far."""

    editor: Editor
    settings: Inversions
    scorers: list[Scorer]
    judges: dict[str, Judge]  # of identity, by name
    photographs: Sequence[Photograph]
    deviations: Float[Tensor, " scores"]  # of each score over photographs
    reference: Float[Tensor, "n features"]  # of `metrics.features`, of photographs
    inversions: list[InversionRow] = field(default_factory=list)
    edits: list[EditRow] = field(default_factory=list)

    @staticmethod
    def of(
        editor: Editor,
        evaluation: Evaluation | None,
        photographs: Sequence[Photograph],
        others: Sequence[Photograph],
    ) -> "Comparison":
        """`others` are photographs that say how much scores and features vary; they are not inverted.

        Without an evaluation there are no edits. Raises ConfigError without photographs.
        """
        if not photographs:
            raise ConfigError(
                f"none of the photographs can be used: each must show a {editor.domain.subject}"
            )
        chosen = evaluation.inversion if evaluation else Inversions()
        built = evaluation.built() if evaluation else []
        found = judges.of(editor.domain.subject)
        crowd = [photograph.images for photograph in (others if len(others) > 1 else photographs)]
        scored = [scorers.score(built, images, [""]) for images in crowd] if built else [torch.zeros(2, 0)]
        deviations = torch.cat(scored).std(0, correction=0).clamp(min=1e-6)
        features = torch.cat([metrics.features(images) for images in crowd]).cpu()
        return Comparison(editor, chosen, built, found, photographs, deviations, features)

    def add(self, label: str, folder: Path) -> None:
        """Inverts and edits with one inverter, and judges what it has drawn."""
        work = Work(self.editor, label, folder / label, self.scorers)
        begun = time.monotonic()
        for number, photograph in enumerate(self.photographs):
            if number:
                left = (time.monotonic() - begun) / number * (len(self.photographs) - number) / 60
                log.info("%s: %d of %d, %.0f minutes left", label, number, len(self.photographs), left)
            record = work.done(photograph, self.settings.edits)
            seconds = {name: record[name] for name in ("seconds", "processor", "first")}
            drawn = {label: work.picture(photograph, INVERSION)}
            if not record["stored_same"]:
                drawn[label + STORED_TITLE] = work.picture(photograph, STORED)
            for title, picture in drawn.items():
                figures = compare(picture, photograph.images, photograph.seen)
                figures |= seconds | {"bytes": record["bytes"]} | self._identity(picture, photograph)
                exact = record["exact"] and title == label
                self.inversions.append(InversionRow(title, photograph.name, exact, figures))
            for name in self.settings.edits:
                found = record["edits"][name]
                figures = {key: found[key] for key in ("strength", "wanted", "change")}
                figures["round_trip"] = found.get("round_trip", float("nan"))
                picture = work.picture(photograph, name)
                figures |= self._edited(name, picture, photograph)
                self.edits.append(EditRow(label, photograph.name, name, found["reached"], figures))

    def frechet(self, label: str, folder: Path) -> float:
        """FID-like distance of the edited pictures of an inverter from photographs (`metrics.frechet`)."""
        work = Work(self.editor, label, folder / label, self.scorers)
        drawn = [
            work.picture(photograph, name) for photograph in self.photographs for name in self.settings.edits
        ]
        if len(drawn) < 2:
            return float("nan")
        return metrics.frechet(torch.cat([metrics.features(each) for each in drawn]).cpu(), self.reference)

    def tables(self, frechet: dict[str, float], baseline: str) -> Tables:
        """What was found so far."""
        flattered = {
            label: [
                f"identity {name}"
                for name, judge in self.judges.items()
                if judge.knows(inverter) or name in self.settings.trained.get(label, ())
            ]
            for label, inverter in self.editor.inverters.items()
        }
        names = [f"identity {name}" for name in self.judges]
        return Tables(self.inversions, self.edits, names, flattered, frechet, self.settings, baseline)

    def _identity(self, picture: Images, photograph: Photograph) -> dict[str, float]:
        return {
            f"identity {name}": judge.between(picture, photograph.images)
            for name, judge in self.judges.items()
        }

    def _edited(self, name: str, picture: Images, photograph: Photograph) -> dict[str, float]:
        column = scorers.names(self.scorers).index(self.settings.edits[name].column)
        before, after = (
            scorers.score(self.scorers, images, [photograph.name])[0]
            for images in (photograph.images, picture)
        )
        changes = ((after - before) / self.deviations).abs()
        others = torch.cat([changes[:column], changes[column + 1 :]])
        return {
            "others": float(others.mean()) if len(others) else float("nan"),
            "background": background(picture, photograph, self.settings.head),
            **self._identity(picture, photograph),
        }


def report(
    comparison: Comparison, labels: Sequence[str], out: Path, baseline: str = ""
) -> dict[str, dict[str, float]]:
    """Compares the labelled inverters of the domain; all files are written anew after each of them.

    inversions.csv (a row per photograph and inverter), edits.csv (a row per photograph, inverter and edit),
    inversion.md (summary), and sheet_1.webp and so on, which show the photographs. Returns the means of
    inversions by inverter. Identity of edits is also given as a ratio to that of the inverter `baseline`.
    """
    out.mkdir(parents=True, exist_ok=True)
    editor, frechet = comparison.editor, {}
    for label in labels:
        comparison.add(label, out)
        frechet[label] = comparison.frechet(label, out)
        tables = comparison.tables(frechet, baseline or labels[0])
        inversion_tables.write(out, tables)
        log.info("%s: %s", label, {name: round(value, 4) for name, value in tables.means(label).items()})
    works = [Work(editor, label, out / label, comparison.scorers) for label in labels]
    inversion_tables.sheets(out, works, comparison.photographs, list(comparison.settings.edits))
    return {label: tables.means(label) for label in labels}
