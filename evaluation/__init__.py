"""What directions really do: effects, names from them, and tables. `names` is what the page asks for."""

from evaluation.naming import Named, names

__all__ = ["Named", "names"]
