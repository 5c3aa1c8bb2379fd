"""Settings of a training run from a YAML file: the fields of a dataclass are the keys."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from plugins import ConfigError, checked

Schema = TypeVar("Schema")


def settings(path: Path, overrides: Sequence[str] | None = None) -> dict[str, object]:
    """The keys of a YAML file, with overrides such as "samples=100" applied. Raises ConfigError."""
    try:
        merged = OmegaConf.merge(OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides or [])))
        plain = OmegaConf.to_container(merged, resolve=False)
    except (OmegaConfBaseException, YAMLError, OSError) as error:
        raise ConfigError(f"{path.name}: not readable as YAML settings: {error}") from error
    if not isinstance(plain, dict):
        raise ConfigError(f"{path.name}: expected a mapping of settings")
    return {str(key): value for key, value in plain.items()}


def read(schema: type[Schema], path: Path, overrides: Sequence[str] | None = None) -> Schema:
    """The checked settings without `trainer`, which only says whose they are. Raises ConfigError."""
    plain = {key: value for key, value in settings(path, overrides).items() if key != "trainer"}
    return checked(schema, plain, path.name)
