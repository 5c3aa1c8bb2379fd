"""Plugins: a folder is a kind, a module in it is one implementation, a YAML file names it.

`find` resolves a *file name inside one package* to the one class of that kind defined there, so a
config can reach nothing else: there is no import path to abuse (compare Hydra's `_target_`).
"""

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import TypeVar

from config import ConfigError, checked

Kind = TypeVar("Kind")


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


def build(kind: type[Kind], settings: object, where: str = "") -> Kind:
    """The plugin that `settings` (a mapping with `name` and the plugin's own fields) describes."""
    if not isinstance(settings, Mapping) or "name" not in settings:
        raise ConfigError(f"{where}: expected a mapping with `name:`, one of {', '.join(names(kind))}")
    try:
        plugin = find(kind, settings["name"])
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error
    return checked(plugin, {str(k): v for k, v in settings.items() if k != "name"}, where)
