"""The re-scoring table (rows: directions, columns: attributes) and the summary of sources, as files."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont

from evaluation.effects import Effect

CELL, LEFT, TOP, GAP = (36, 18), 330, 150, 12  # pixels of the picture of a table
LETTERS = 52  # of a row's name that there is room for
FULL = 1.5  # standard deviations at which a cell has its full colour


@dataclass(frozen=True)
class Row:
    """One direction of the table."""

    source: str
    direction: str
    label: str  # its measured name
    effect: Effect


@dataclass(frozen=True)
class Summary:
    """One source, over its directions, on the same samples as the others."""

    source: str
    directions: int
    effect: float  # mean of the largest change, standard deviations a step
    purity: float  # mean share of the largest change in all changes
    identity: float  # share of pictures that still show the same person
    diversity: float  # 1 - mean absolute cosine of the effects of two directions


def summary(source: str, rows: Sequence[Row], columns: list[int]) -> Summary:
    """Means over the rows of one source."""
    changes = torch.stack([row.effect.changes[columns] for row in rows])
    unit = torch.nn.functional.normalize(changes, dim=1)
    cosines = (unit @ unit.T).abs()
    pairs = len(rows) * (len(rows) - 1)
    return Summary(
        source,
        len(rows),
        float(changes.abs().amax(1).mean()),
        sum(row.effect.purity(columns) for row in rows) / len(rows),
        sum(row.effect.identity for row in rows) / len(rows),
        1 - float((cosines.sum() - cosines.diagonal().sum()) / max(pairs, 1)),
    )


def write_csv(file: Path, rows: Iterable[Iterable[object]]) -> None:
    """Titles and numbers of any table."""
    with file.open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)


def write(out: Path, rows: Sequence[Row], scores: list[str], columns: list[int]) -> list[Summary]:
    """directions.csv (every score), .md (what a direction changes most), .png; `columns` give names.

    Returns the summaries of the sources, which are in the second file as well.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines: list[list[str]] = []
    changed: list[list[str]] = []
    for row in rows:
        changes, identity = row.effect.changes.tolist(), row.effect.identity
        place = [row.source, row.direction, row.label]
        lines.append([*place, f"{identity:.3f}", *(f"{value:.3f}" for value in changes)])
        order = sorted(columns, key=lambda column: -abs(changes[column]))[:4]
        most = ", ".join(f"{scores[column]} {changes[column]:+.2f}" for column in order)
        changed.append([*place, f"{row.effect.purity(columns):.2f}", f"{identity:.0%}", most])
    write_csv(out / "directions.csv", [["source", "direction", "label", "identity", *scores], *lines])
    summaries = [
        summary(source, [row for row in rows if row.source == source], columns)
        for source in dict.fromkeys(row.source for row in rows)
    ]
    compared = []
    for s in summaries:
        figures = [f"{s.effect:.2f}", f"{s.purity:.2f}", f"{s.identity:.0%}", f"{s.diversity:.2f}"]
        compared.append([s.source, f"{s.directions}", *figures])
    first = ["source", "directions", "effect", "purity", "identity kept", "diversity"]
    second = ["source", "direction", "name", "purity", "identity kept", "changes most"]
    (out / "directions.md").write_text(markdown(first, compared) + "\n" + markdown(second, changed))
    few = picture(rows, scores, columns).quantize(256, Image.Quantize.MAXCOVERAGE)  # a quarter of the size
    few.save(out / "directions.png", optimize=True)
    return summaries


def markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; columns of numbers stand to the right."""
    listed = list(rows)
    cells = list(zip(*listed, strict=True)) or [()] * len(titles)
    right = [all(cell.strip("%").replace(".", "").isdigit() for cell in column) for column in cells]
    head, *body = [f"| {' | '.join(line)} |\n" for line in (titles, *listed)]
    return "".join([head, f"|{'|'.join('--:' if each else '--' for each in right)}|\n", *body])


def picture(rows: Sequence[Row], titles: list[str], columns: list[int]) -> Image.Image:
    """The table in colours: red = more, blue = less, white = unchanged; a line where a source begins.

    The last two columns are purity and the share of pictures that still show the same person or subject.
    """
    width, height = LEFT + CELL[0] * (len(columns) + 2) + GAP, TOP + CELL[1] * len(rows)
    sheet = Image.new("RGB", (width + 10, height + 10), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for x, title in enumerate([*(titles[column] for column in columns), "purity", "same subject"]):
        upright = Image.new("L", (TOP - 8, CELL[1]), 0)
        ImageDraw.Draw(upright).text((2, 2), title, fill=255, font=font)
        sheet.paste("black", (_left(x, len(columns)) + 8, 4), upright.rotate(90, expand=True))
    for y, row in enumerate(rows):
        top = TOP + y * CELL[1]
        if not y or rows[y - 1].source != row.source:
            draw.line((4, top - 1, width, top - 1), fill="black")
        draw.text((4, top + 2), f"{row.source}: {row.label}"[:LETTERS], fill="black", font=font)
        values = row.effect.changes[columns].tolist()
        for x, value in enumerate([*values, row.effect.purity(columns), row.effect.identity]):
            left, (text, colour) = _left(x, len(columns)), _cell(value, x >= len(columns))
            draw.rectangle((left, top, left + CELL[0] - 2, top + CELL[1] - 2), fill=colour)
            draw.text((left + 4, top + 2), text, fill="black", font=font)
    return sheet


def _left(x: int, scores: int) -> int:
    """Where a column begins; the last two stand apart."""
    return LEFT + x * CELL[0] + (GAP if x >= scores else 0)


def _cell(value: float, share: bool) -> tuple[str, tuple[int, ...]]:
    """Text and colour."""
    if share:
        return f"{value:.0%}", (round(255 - 90 * value),) * 3
    rest = round(255 * (1 - 0.75 * min(abs(value) / FULL, 1)))
    return f"{value:+.1f}", (255, rest, rest) if value > 0 else (rest, rest, 255)
