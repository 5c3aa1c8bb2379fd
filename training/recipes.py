"""Settings of a training run from a YAML file: the fields of a dataclass are the keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from config import checked, load

Schema = TypeVar("Schema")


def read(schema: type[Schema], path: Path, overrides: Sequence[str] | None = None) -> Schema:
    """The checked settings without `trainer`, which only says whose they are. Raises ConfigError."""
    plain = {key: value for key, value in load(path, overrides or []).items() if key != "trainer"}
    return checked(schema, plain, path.name)
