"""`python cli.py evaluate directions`: measures sources on the same samples, writes tables, keeps names."""

import logging
from collections.abc import Sequence
from pathlib import Path

from editor import Editor
from evaluation import naming, tables
from evaluation.effects import Measure
from evaluation.settings import Evaluation
from evaluation.tables import Row, Summary

log = logging.getLogger(__name__)


def report(
    editor: Editor,
    evaluation: Evaluation,
    sources: Sequence[str],
    out: Path,
    count: int | None = None,
    kept: Path | None = None,
) -> list[Summary]:
    """Writes directions.csv, .md and .png to `out` and the names to `kept` (the cache by default)."""
    measure = Measure(editor.generator, evaluation)
    scores = measure.base.names
    columns = [scores.index(score) for score in evaluation.words]
    rows: list[Row] = []
    summaries: list[Summary] = []
    for source in sources:
        effects = measure.effects(editor.directions(source, None, count).values())
        own = bool(editor.source(source).keepable(editor.generator))  # directions with names of their own
        named = {n: naming.name(n, effect, evaluation, scores, own) for n, effect in effects.items()}
        mine = [Row(source, n, named[n].label, effect) for n, effect in effects.items()]
        rows += mine
        summaries.append(tables.summary(source, mine, columns))
        naming.keep(
            editor.name, {naming.key(editor.generator.fingerprint, editor.source(source)): named}, kept
        )
        log.info("%s: %d directions measured", source, len(mine))
        _write(out, rows, summaries, scores, columns)  # after every source: nothing is lost when interrupted
    return summaries


def _write(
    out: Path, rows: Sequence[Row], summaries: Sequence[Summary], scores: list[str], columns: list[int]
) -> None:
    out.mkdir(parents=True, exist_ok=True)
    tables.write_csv(out / "directions.csv", rows, scores)
    (out / "directions.md").write_text(tables.markdown(rows, summaries, scores, columns))
    tables.picture(rows, scores, columns).save(out / "directions.png")
