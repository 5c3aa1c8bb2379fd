"""`python cli.py evaluate directions`: measures sources on the same samples, writes tables, keeps names."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from config import ConfigError
from directions import Direction, DirectionSource
from editor import Editor
from evaluation import naming
from evaluation.effects import Measure, measured
from evaluation.settings import Evaluation
from evaluation.tables import Row, Summary, write
from plugins import build

log = logging.getLogger(__name__)


def sources(editor: Editor, evaluation: Evaluation, wanted: Sequence[str] = ()) -> dict[str, DirectionSource]:
    """The domain's sources, and those that the evaluation compares them with; or those that are wanted.

    Raises ConfigError for a wanted one that does not exist.
    """
    others = {
        label: build(DirectionSource, settings, f"sources: {label}")
        for label, settings in evaluation.sources.items()
        if label not in editor.sources
    }
    found = {label: editor.source(label) for label in editor.sources} | others
    if unknown := [label for label in wanted if label not in found]:
        raise ConfigError(f"no source is called {unknown[0]!r}; there are: {', '.join(found)}")
    return {label: found[label] for label in wanted or found}


def promising(
    editor: Editor, evaluation: Evaluation, wanted: Sequence[str] = (), count: int | None = None
) -> dict[str, Direction]:
    """Directions with names of their own, of the page's sources or of those that are wanted.

    Sources that are only compared with have directions of the same names, which are not on the page.
    """
    chosen = list(sources(editor, evaluation, wanted or list(editor.sources)).values())
    listed = [d for source in reversed(chosen) for d in source.directions(editor.generator)[:count]]
    return {d.name: d for d in listed if not d.name[-1].isdecimal()}  # "SeFa 1" has a number, no name


def report(
    editor: Editor,
    evaluation: Evaluation,
    chosen: Mapping[str, DirectionSource],
    out: Path,
    count: int | None = None,
    kept: Path | None = None,
) -> list[Summary]:
    """Writes directions.csv, .md and .png to `out` and the names to `kept` (the cache by default).

    Sources whose file is not there are left out, so that the others are still compared.
    """
    measure = Measure(editor.generator, evaluation)
    columns = [measure.names.index(score) for score in evaluation.words]
    if wordless := [score for score in measure.names if score not in evaluation.words]:
        log.warning("scores without `words` name nothing and are only in the CSV: %s", ", ".join(wordless))
    rows: list[Row] = []
    summaries: list[Summary] = []
    for label, source in chosen.items():
        try:
            listed = source.directions(editor.generator)[:count]
        except ConfigError as error:
            log.warning("%s is left out: %s", label, error)
            continue
        named = {}
        for direction in tqdm(listed, label, disable=None):
            name, effect = direction.name, measured(measure, direction)
            named[name] = naming.name(name, effect, evaluation, measure.names, direction.high)
            rows.append(Row(label, name, named[name].label, effect))
        naming.keep(editor.name, {naming.key(editor.generator.fingerprint, source): named}, kept)
        log.info("%s: %d directions measured", label, len(named))
        summaries = write(out, rows, measure.names, columns)  # nothing is lost when interrupted
    return summaries
