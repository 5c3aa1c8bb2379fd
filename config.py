"""The one reader of YAML: settings, their overrides, and where the paths in them start."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

Schema = TypeVar("Schema")

ROOT = Path(__file__).resolve().parent
CONFIGS = ROOT / "configs"  # one YAML a domain

# A YAML from somebody else must not be able to read the environment (`${oc.env:TOKEN}`).
OmegaConf.clear_resolver("oc.env")


class UserError(ValueError):
    """What a user can mend; the message says what would have worked. Anything else is our mistake."""


class ConfigError(UserError):
    """A configuration that cannot be used; the message says what would have worked."""


def resolve(text: str | Path) -> Path:
    """The file or folder that a setting names: a relative path starts at the project's folder.

    Paths that are arguments of a command (photographs, `--out`) start where the command is called.
    """
    return ROOT / Path(text).expanduser()


def load(file: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The keys of a YAML file, with `overrides` such as "inverters.optimize.steps=30" applied.

    Raises ConfigError for what is no mapping or cannot be read.
    """
    try:
        loaded = OmegaConf.load(file)
        if isinstance(loaded, DictConfig):
            loaded.merge_with_dotlist(list(overrides))
        settings = OmegaConf.to_container(loaded, resolve=False)
    except (OmegaConfBaseException, YAMLError, OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file.name}: not readable as YAML: {error}") from error
    if not isinstance(settings, dict) or not settings:
        raise ConfigError(f"{file.name}: expected a mapping of settings, as in `title: Faces`")
    return {str(key): value for key, value in settings.items()}


def read(schema: type[Schema], file: Path, overrides: Sequence[str] = ()) -> Schema:
    """An instance of the dataclass `schema` with the settings of a YAML file. Raises ConfigError."""
    return checked(schema, load(file, overrides), file.name)


def checked(schema: type[Schema], settings: Mapping[str, Any], where: str = "") -> Schema:
    """An instance of the dataclass `schema` with `settings`: its fields are the keys, their types the schema.

    Raises ConfigError for keys that are unknown, missing or of the wrong type, naming `where` and the key.
    """
    known = {f.name: f for f in fields(schema) if f.init}  # type: ignore[arg-type]
    place = f"{where}: " if where else ""
    if unknown := [key for key in settings if key not in known]:
        raise ConfigError(
            f"{place}unknown setting {unknown[0]!r} for {schema.__name__}; "
            f"it takes: {', '.join(known) or 'none'}"
        )
    needed = [name for name, f in known.items() if f.default is f.default_factory is MISSING]
    if missing := [name for name in needed if name not in settings]:
        raise ConfigError(
            f"{place}{schema.__name__} needs the setting {missing[0]!r}; always needed: {', '.join(needed)}"
        )
    try:
        built = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(schema), dict(settings)))
    except OmegaConfBaseException as error:
        key = f"{error.full_key!r}: " if error.full_key else ""
        reason = re.split(r"\n\s*full_key", str(error))[0]
        raise ConfigError(f"{place}{schema.__name__} setting {key}{reason}") from error
    except (TypeError, ValueError) as error:  # a plugin's own __post_init__ check
        raise ConfigError(f"{place}{schema.__name__}: {error}") from error
    return built  # type: ignore[return-value]
