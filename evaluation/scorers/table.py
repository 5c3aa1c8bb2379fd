"""Labels that people gave: a CSV file with a row per sample."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from backends import Images
from config import ConfigError, resolve
from evaluation.scorers import Scorer


@dataclass
class Table(Scorer):
    """First column: the sample's name ("seed 7", or just 7); the others: numbers, with a title each.

    An empty cell means unknown; such a sample is left out of what is fitted to that column.
    """

    file: str = ""  # the CSV

    @cached_property
    def _content(self) -> tuple[list[str], dict[str, list[float]]]:
        path = resolve(self.file)
        try:
            with path.open(newline="") as stream:
                title, *rows = [row for row in csv.reader(stream) if row]
            numbers = {row[0].strip(): [float(cell or "nan") for cell in row[1:]] for row in rows}
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"{path.name}: not a table of labels; expected a CSV with a title line, the sample's name in "
                "the first column and numbers in the others"
            ) from error
        if len(title) < 2 or any(len(row) != len(title) - 1 for row in numbers.values()):
            raise ConfigError(f"{path.name}: every row needs a name and {len(title) - 1} numbers")
        return [name.strip() for name in title[1:]], numbers

    @property
    def names(self) -> list[str]:
        return self._content[0]

    def content(self) -> str:
        return repr(self._content)

    def score(self, images: Images, samples: Sequence[str]) -> Float[Tensor, "n scores"]:
        """Unknown samples get NaN."""
        titles, numbers = self._content
        unknown = [float("nan")] * len(titles)
        rows = [numbers.get(name, numbers.get(name.removeprefix("seed "), unknown)) for name in samples]
        return torch.tensor(rows).reshape(len(samples), len(titles))
