"""Measure what directions really do, name them after it, and whether sliders keep what their names promise;
what a generator trained here can do, and how well photographs are inverted.

    python cli.py evaluate directions --domain faces --out evaluation
    python cli.py evaluate sliders --domain faces --samples 20 --seed 510000 --out evaluation
    python cli.py evaluate generator --domain cats --photographs cats.zip --out evaluation
    python cli.py evaluate inversion --domain faces --photographs faces.zip --every 10 --out evaluation

`directions` writes directions.csv (all scores), directions.md (summary of the sources, names) and
directions.png (the table in colours), and keeps the names for the page; what was measured before is taken
from the cache. `sliders` tries both ends of every slider whose name promises something. Samples, seed and
step are those of configs/evaluation/. `generator` writes uncurated samples, their nearest training
photographs, inversions of photographs that training did not see, and figures.csv. `inversion` compares the
domain's inverters on the same photographs (docs/inversion.md): inversions.csv, edits.csv, inversion.md and
sheets; photographs are spread evenly over the sorted names. What is done is kept in --out, so that another
inverter or edit is added without doing the others again.
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from commands._common import domain_arguments, load_editor

if TYPE_CHECKING:
    from editor import Editor


def arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument(
        "what", choices=["directions", "sliders", "generator", "inversion"], help="what to measure"
    )
    parser.add_argument("--source", action="append", help="only this source of directions; may be repeated")
    parser.add_argument("--count", type=int, help="how many directions of a source at most")
    parser.add_argument("--samples", type=int, help="samples that every direction is tried on")
    parser.add_argument("--seed", type=int, help="of the first of them")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the results (default: out)")
    parser.add_argument("--names", type=Path, help="JSON file for the names (default: in the cache)")
    parser.add_argument("--photographs", default="", help="generator, inversion: folder or zip archive")
    parser.add_argument("--labels", nargs="*", default=[], help="generator: only folders of these names")
    domain_arguments(parser)
    group = parser.add_argument_group(
        "inversion", "which photographs (--count: how many) and what to compare"
    )
    add = group.add_argument
    add(
        "--every", type=int, default=1, metavar="N", help="only every N-th of the sorted names, the first too"
    )
    add(
        "--held-out", type=int, default=0, metavar="N", help="only those left out of training: data.holdout=N"
    )
    add("--reference", type=int, default=200, metavar="N", help="other photographs, to compare edits with")
    add("--inverters", default="", metavar="A,B", help="labels (default: all inverters of the domain)")
    add("--baseline", default="", metavar="A", help="that edits are compared with (default: optimize)")
    add("--edits", metavar="A,B", help='names in configs/evaluation (default: all; "": none)')
    add("--no-round-trip", action="store_true", help="without inverting edited pictures again")


def run(options: argparse.Namespace) -> int:
    """Measure all directions of the chosen sources on the same samples."""
    from config import ConfigError
    from evaluation import directions, settings, sliders
    from evaluation.effects import Measure

    editor = load_editor(options)
    if options.what == "generator":
        return _generator(options, editor)
    if options.what == "inversion":
        return _inversion(options, editor)
    given = {"samples": options.samples or None, "seed": options.seed}
    overrides = {name: value for name, value in given.items() if value is not None}
    evaluation = settings.read(editor.name, **overrides)
    if options.what == "directions":
        chosen = directions.sources(editor, evaluation, options.source or ())
        directions.report(editor, evaluation, chosen, options.out, options.count, options.names)
        return 0
    if not evaluation.sliders:
        raise ConfigError(
            f"{editor.name} promises nothing: its evaluation needs `sliders: {{direction: score}}`"
        )
    listed = directions.promising(editor, evaluation, options.source or (), options.count)
    sliders.write(options.out, sliders.ends(Measure(editor.generator, evaluation), listed))
    return 0


def _generator(options: argparse.Namespace, editor: "Editor") -> int:
    """Sheets and figures of the generator, and of the domain around it."""
    from backends import dataset
    from evaluation.generator import held_out, report

    place = Path(options.photographs)  # of the working directory, or the name of a dataset
    path = str(place.absolute()) if place.exists() else options.photographs
    trained, held = dataset.load(dataset.Data(path, labels=options.labels), editor.generator.size)
    report(editor.generator, trained, options.out, options.samples or 5000)
    directions = [d for label in editor.sources for d in editor.directions(label).values()][:2]
    held_out(editor.generator, editor.inverter(), directions, held, options.out)
    return 0


def _inversion(options: argparse.Namespace, editor: "Editor") -> int:
    """Inverts and edits the same photographs with all inverters."""
    from config import ConfigError
    from evaluation import photographs
    from evaluation.inversion import Comparison, report, wanted

    if not options.photographs:
        raise ConfigError("evaluate inversion needs --photographs, a folder or a zip archive")
    labels = _listed(options.inverters) or list(editor.inverters)
    if options.baseline and options.baseline not in labels:
        raise ConfigError(f"--baseline {options.baseline!r} is not compared; there are: {', '.join(labels)}")
    for label in labels:
        editor.inverter(label)  # an unknown one is an error before any work
    evaluation = wanted(editor.name, options.edits, not options.no_round_trip)
    place = Path(options.photographs)
    names = photographs.names(place)
    chosen = photographs.chosen(names, options.count or 14, options.every, options.held_out)
    rest = photographs.spread([name for name in names if name not in set(chosen)], options.reference)
    subjects = list(photographs.load(editor, place, chosen))
    comparison = Comparison.of(editor, evaluation, subjects, list(photographs.load(editor, place, rest)))
    usual = "optimize" if "optimize" in labels else labels[0]
    report(comparison, labels, options.out, options.baseline or usual)
    return 0


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
