"""Plugins: a folder is a kind, a module in it is one implementation, a YAML file names it.

`find` resolves a *file name inside one package* to the one class of that kind defined there, so a
config can reach nothing else: there is no import path to abuse (compare Hydra's `_target_`).
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

Kind = TypeVar("Kind")

# A YAML from somebody else must not be able to read the environment (`${oc.env:TOKEN}`).
OmegaConf.clear_resolver("oc.env")


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says what would have worked."""


def names(kind: type) -> list[str]:
    """Names of the plugins of this kind: the public modules beside its abstract class."""
    package = import_module(kind.__module__)
    return sorted(m.name for m in iter_modules(package.__path__) if not m.name.startswith("_"))


def find(kind: type[Kind], name: object) -> type[Kind]:
    """The one class of `kind` that the module `name` of its folder defines.

    Raises ConfigError, listing the names that exist, when there is none.
    """
    if not isinstance(name, str) or name not in names(kind):
        raise ConfigError(f"no {kind.__name__} is called {name!r}; there are: {', '.join(names(kind))}")
    module = import_module(f"{kind.__module__}.{name}")
    own = [c for c in vars(module).values() if getattr(c, "__module__", None) == module.__name__]
    found = [c for c in own if isinstance(c, type) and issubclass(c, kind)]
    if len(found) != 1:
        raise ConfigError(
            f"{module.__name__} must define exactly one {kind.__name__}, it defines {len(found)}"
        )
    return found[0]


def checked(schema: type[Kind], settings: Mapping[str, Any], where: str = "") -> Kind:
    """An instance of the dataclass `schema` with `settings`: its fields are the keys, their types the schema.

    Raises ConfigError for keys that are unknown, missing or of the wrong type, naming `where` and the key.
    """
    known = [f.name for f in fields(schema) if f.init]  # type: ignore[arg-type]
    unknown = [key for key in settings if key not in known]
    place = f"{where}: " if where else ""
    if unknown:
        raise ConfigError(
            f"{place}unknown setting {unknown[0]!r} for {schema.__name__}; "
            f"it takes: {', '.join(known) or 'none'}"
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


def build(kind: type[Kind], settings: object, where: str = "") -> Kind:
    """The plugin that `settings` (a mapping with `name` and the plugin's own fields) describes."""
    if not isinstance(settings, Mapping) or "name" not in settings:
        raise ConfigError(f"{where}: expected a mapping with `name:`, one of {', '.join(names(kind))}")
    try:
        plugin = find(kind, settings["name"])
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return checked(plugin, {str(k): v for k, v in settings.items() if k != "name"}, where)
