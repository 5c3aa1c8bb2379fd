"""Layers are one-way: app -> ui -> editor -> plugins, backends, directions; nothing imports upwards."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAY_IMPORT = {  # top-level package or module -> what of the project it may import
    "config": set(),
    "plugins": {"config"},
    "backends": {"backends", "plugins"},
    "directions": {"directions", "backends", "plugins"},
    "latents": {"backends", "plugins"},
    "video": set(),
    "sharing": {"sharing", "backends", "directions", "latents", "plugins"},
    "editor": {"backends", "directions", "plugins"},
    "ui": {
        "ui", "editor", "backends", "directions", "plugins", "latents", "sharing", "evaluation",
    },
    "app": {"ui", "editor", "plugins", "sharing", "backends"},
    "commands": {
        "commands", "editor", "backends", "directions", "plugins", "latents", "video", "training",
        "evaluation", "ui",
    },
    "cli": {"commands"},
    "training": {"training", "plugins", "backends", "directions", "evaluation", "video"},
    "evaluation": {"evaluation", "editor", "backends", "directions", "plugins", "video"},
}  # fmt: skip


def imported(path: Path) -> set[str]:
    """Top-level names that a module imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.partition(".")[0])
    return found


def sources(name: str) -> list[Path]:
    return [ROOT / f"{name}.py"] if (ROOT / f"{name}.py").exists() else sorted((ROOT / name).rglob("*.py"))


@pytest.mark.parametrize("name", sorted(MAY_IMPORT))
def test_imports_point_downwards(name):
    for path in sources(name):
        upwards = (
            (imported(path) & MAY_IMPORT.keys()) - MAY_IMPORT[name] - {"config"}
        )  # settings are everywhere
        assert not upwards, f"{path.relative_to(ROOT)} imports {', '.join(upwards)}"


def test_plugins_are_not_imported_by_name():
    """Only plugins of the same folder (a wrapper), tests and commands may name an implementation."""
    kinds = ["backends.aligners", "backends.generators", "backends.inverters"]
    for path in [ROOT / "editor.py", *sources("ui"), *sources("directions")]:
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            named = [kind for kind in kinds if module and module.startswith(f"{kind}.")]
            assert not named, f"{path.name} imports the plugin {module}"


def test_the_page_knows_no_torch_and_handlers_no_widgets():
    assert "torch" not in imported(ROOT / "ui" / "page.py")
    assert "gradio" not in imported(ROOT / "editor.py")
