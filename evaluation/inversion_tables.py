"""What comparing inverters found, as files: tables of single pictures, a summary, and sheets of pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median

from PIL import Image, ImageDraw, ImageFont

from backends.photos import to_pil
from evaluation.inversion_work import INVERSION, Work
from evaluation.photographs import Photograph
from evaluation.settings import Inversions
from evaluation.tables import markdown, write_csv
from video import sheet

CELL, TITLE, LINES = 192, 18, 20  # of sheets: side of a picture, height of titles (pixels), lines at most
TIMES = ("seconds", "processor", "first")  # of which the median is given, of others the mean
DIGITS = {"mse": 4, "mse_whole": 4, "psnr": 2, "bytes": 0, "round_trip": 4, "background": 1}  # others: 3
ABSENT = "-"
STORED_TITLE = ", stored"  # after the label of an inverter: what its latents file draws
nan = float("nan")


@dataclass(frozen=True)
class InversionRow:
    """One photograph, inverted."""

    inverter: str
    photograph: str
    exact: bool  # whether the picture is the crop itself
    figures: dict[str, float]


@dataclass(frozen=True)
class EditRow:
    """One photograph, inverted and edited."""

    inverter: str
    photograph: str
    edit: str
    reached: bool  # whether the score changed by as much as it should
    figures: dict[str, float]


@dataclass(frozen=True)
class Tables:
    """All that was found."""

    inversions: Sequence[InversionRow]
    edits: Sequence[EditRow]
    judges: Sequence[str]
    flattered: Mapping[str, Sequence[str]]  # inverter -> judges that its losses looked through
    frechet: Mapping[str, float]  # inverter -> FID-like of its edits
    settings: Inversions
    baseline: str  # inverter whose edits the others' identity is divided by

    def means(self, inverter: str) -> dict[str, float]:
        """Of all photographs."""
        rows = [row.figures for row in self.inversions if row.inverter == inverter]
        return {name: (median if name in TIMES else fmean)(row[name] for row in rows) for name in rows[0]}

    def ratio(self, inverter: str, edit: str, judge: str) -> float:
        """Mean identity distance over that of the baseline, of photographs that both could change enough.

        nan when there are none, or the baseline's distance is 0.
        """
        ours, theirs = (
            {r.photograph: r.figures[judge] for r in self._edits(each, edit) if r.reached}
            for each in (inverter, self.baseline)
        )
        both = ours.keys() & theirs.keys()
        usual = fmean(theirs[name] for name in both) if both else 0.0
        return fmean(ours[name] for name in both) / usual if usual else nan

    def inversion_table(self) -> str:
        """A row an inverter, and one a published method."""
        names = ["mse", "mse_whole", "psnr", "ssim", "perceptual", "lpips", *self.judges, *TIMES, "bytes"]
        titles = ["inverter", "MSE", "MSE, padding too", "PSNR", "SSIM", "perceptual", "LPIPS"]
        titles += [judge.replace("identity", "identity,") for judge in self.judges]
        titles += ["seconds", "processor seconds", "first picture", "bytes", "exact"]
        lines = []
        for inverter in dict.fromkeys(row.inverter for row in self.inversions):
            means = self.means(inverter)
            exact = [row.exact for row in self.inversions if row.inverter == inverter]
            stars = self._stars(inverter)
            cells = [shown(name, means[name], stars.get(name, "")) for name in names]
            lines.append([inverter, *cells, f"{sum(exact)} of {len(exact)}"])
        for method, figures in self.settings.published.items():
            known = [shown(name, figures.get(name, nan)) for name in names]
            lines.append([f"{method} (published)", *known, ABSENT])
        return markdown(titles, lines)

    def edit_table(self) -> str:
        """A row an edit and inverter, then one for all edits of each."""
        columns = ["strength", "change", *self.judges, "others", "background", "round_trip"]
        titles = ["edit", "inverter", "reached", "strength", "change of score"]
        titles += [judge.replace("identity", "identity,") for judge in self.judges]
        titles += ["other scores", "background", "round trip MSE"]
        titles += [f"{judge} / {self.baseline}" for judge in self.judges] + ["FID-like"]
        lines = []
        inverters = list(dict.fromkeys(row.inverter for row in self.edits))
        names = list(self.settings.edits)
        for edit, inverter in [(e, i) for e in [*names, "all"] for i in inverters]:
            rows = self._edits(inverter, None if edit == "all" else edit)
            # absolute, as some photographs lose what others get: strengths and changes of both signs
            means = {name: mean(abs(row.figures[name]) for row in rows if row.reached) for name in columns}
            if edit == "all":
                means |= {"strength": nan, "change": nan}
            some = names if edit == "all" else [edit]
            stars = self._stars(inverter)
            cells = [shown(name, means[name], stars.get(name, "")) for name in columns]
            ratios = [shown("", mean(self.ratio(inverter, e, judge) for e in some)) for judge in self.judges]
            fid = shown("background", self.frechet.get(inverter, nan)) if edit == "all" else ABSENT
            reached = f"{sum(row.reached for row in rows)} of {len(rows)}"
            lines.append([edit, inverter, reached, *cells, *ratios, fid])
        return markdown(titles, lines) if lines else ""

    def _edits(self, inverter: str, edit: str | None) -> list[EditRow]:
        return [row for row in self.edits if row.inverter == inverter and edit in (None, row.edit)]

    def _stars(self, inverter: str) -> dict[str, str]:
        known = self.flattered.get(inverter.removesuffix(STORED_TITLE), ())
        return dict.fromkeys(known, "*")


def mean(values: Iterable[float]) -> float:
    """Of those that are known; nan when none is."""
    known = [value for value in values if value == value]
    return fmean(known) if known else nan


def shown(name: str, value: float, star: str = "") -> str:
    """A cell of a table."""
    return ABSENT if value != value else f"{value:.{DIGITS.get(name, 1 if name in TIMES else 3)}f}{star}"


NOTES = """
Mean of the photographs (of times: the median). MSE, PSNR (of the whole range, 10 log10(4 / MSE)), SSIM and
perceptual distance (EfficientNet-Lite2) are of pixels in [-1, 1] at 256 pixels or the generator's size, where
the crop shows the photograph; the second MSE also counts what the aligner has continued beyond its edges.
Identity is the distance between photograph and picture according to each judge; * a judge that the inverter's
own losses looked through, which flatters it. `exact`: pictures that are the crop bit for bit. `stored`: drawn
from the latents file, where that says less than memory.
"""
EDIT_NOTES = """
Each edit is as strong for each inverter and photograph as it takes to change the score of the unedited
inversion by the same amount, by scorers that directions were not fitted to. `reached`: photographs on
which the slider went far enough. Identity: distance between photograph and edited picture; divided by
the baseline's over the photographs that both reached. Other scores: mean absolute change, standard
deviations over photographs. Background: mean absolute change outside of the head, grey levels of 255.
Round trip: edit, invert again, undo the edit, compare with the photograph. FID-like: of all edited
pictures, from photographs, in Lite2 features.
"""


def write(out: Path, tables: Tables) -> None:
    """inversions.csv, edits.csv and inversion.md."""
    for name, rows in (("inversions", tables.inversions), ("edits", tables.edits)):
        fields = list(rows[0].figures) if rows else []
        places = [[value for value in vars(row).values() if not isinstance(value, dict)] for row in rows]
        first = [key for key, value in vars(rows[0]).items() if not isinstance(value, dict)] if rows else []
        lines = [
            [*place, *(f"{row.figures[field]:.6g}" for field in fields)]
            for place, row in zip(places, rows, strict=True)
        ]
        write_csv(out / f"{name}.csv", [[*first, *fields], *lines])
    text = tables.inversion_table() + NOTES
    if tables.settings.published:
        text += f"\nPublished figures: {tables.settings.note}\n"
    if tables.edits:
        text += "\n" + tables.edit_table() + EDIT_NOTES
    (out / "inversion.md").write_text(text)


def sheets(out: Path, works: Sequence[Work], photographs: Sequence[Photograph], edits: list[str]) -> None:
    """sheet_1.webp and so on: per photograph a line an inverter, with photograph, inversion and edits."""
    lines = [(photograph, work) for photograph in photographs for work in works]
    titles = ["photograph", "inversion", *edits]
    for page, start in enumerate(range(0, len(lines), LINES), start=1):
        pictures = []
        for photograph, work in lines[start : start + LINES]:
            drawn = [photograph.images, *(work.picture(photograph, name) for name in [INVERSION, *edits])]
            pictures += [to_pil(each)[0].resize((CELL, CELL), Image.Resampling.LANCZOS) for each in drawn]
        body = sheet(pictures, len(titles))
        whole = Image.new("RGB", (body.width, body.height + TITLE), "white")
        whole.paste(body, (0, TITLE))
        draw, font = ImageDraw.Draw(whole), ImageFont.load_default(12)
        for column, title in enumerate(titles):
            draw.text((column * CELL + 4, 2), title, fill="black", font=font)
        if len(works) > 1:
            for line, (_, work) in enumerate(lines[start : start + LINES]):
                draw.text((CELL + 4, TITLE + line * CELL + 2), work.label, fill="white", font=font)
        whole.save(out / f"sheet_{page}.webp", quality=88)
