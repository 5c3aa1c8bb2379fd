"""Layers are one-way: app -> ui -> editor -> plugins, backends, directions; nothing imports upwards."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import environment

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
    "evaluation": {"evaluation", "editor", "backends", "directions", "latents", "plugins", "video"},
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


@pytest.mark.parametrize("start", ["app.py", "cli.py", "tests/conftest.py"])
def test_the_environment_is_set_before_torch_is_imported(start):
    lines = (ROOT / start).read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("import environment"))
    before = {line.split()[1].partition(".")[0] for line in lines[:place] if re.match("(import|from) ", line)}
    assert before <= sys.stdlib_module_names
    code = "import environment, os, sys; print(os.environ['GOMP_SPINCOUNT'], 'torch' in sys.modules)"
    kept = {k: v for k, v in os.environ.items() if k not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    out = subprocess.run(
        [sys.executable, "-S", "-c", code], cwd=ROOT, env=kept, capture_output=True, text=True
    )
    assert out.stdout.split() == [environment.SPINS, "False"]
