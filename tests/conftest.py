"""Checks every annotation of the project while it is tested, and finds the browser."""

import os
import shutil
import sys
import types
from pathlib import Path
from pkgutil import iter_modules

import environment  # noqa: F401

# isort: split
import jaxtyping
import pytest

# Before anything of the project is imported: shapes and types are then checked at every call.
ROOT = Path(__file__).parents[1]
BACKENDS = [f"backends.{each.name}" for each in iter_modules([str(ROOT / "backends")])]
if sys.version_info < (3, 11):  # for which there is no jaxtyping that leaves numba's cache alone
    BACKENDS.remove("backends.kernels")
PACKAGES = ["commands", "directions", "evaluation", "training", "ui"]
CHECKED = [*BACKENDS, *PACKAGES, "config", "editor", "latents", "plugins", "sharing", "video"]
jaxtyping.install_import_hook(CHECKED, "typechecking.checked")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium. Without one the test is skipped, or fails where REQUIRE_BROWSER is set (CI)."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    reason = "" if path else "no Chromium found; install one, or set CHROMIUM to its path"
    try:
        import playwright  # noqa: F401
    except ImportError:
        reason = "the Python package playwright is not installed"
    if reason and os.environ.get("REQUIRE_BROWSER"):
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    assert path
    return path


@pytest.fixture
def importable(monkeypatch) -> types.SimpleNamespace:
    """Stand-ins for NVIDIA's modules while their pickles are written; the reader must not need them."""

    def reconstruct(meta: dict) -> None:
        raise AssertionError("executed")

    class Network:
        def __init__(self, **state: object) -> None:
            self.recorded = state

        def __getstate__(self) -> dict:
            return self.recorded

    reconstruct.__name__ = reconstruct.__qualname__ = "_reconstruct_persistent_obj"
    reconstruct.__module__, Network.__module__, Network.__qualname__ = (
        "torch_utils.persistence",
        "dnnlib.tflib.network",
        "Network",
    )
    for name, member in (("torch_utils.persistence", reconstruct), ("dnnlib.tflib.network", Network)):
        module = types.ModuleType(name)
        setattr(module, member.__name__, member)
        for parent in (name.split(".")[0], name.rpartition(".")[0]):
            monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
        monkeypatch.setitem(sys.modules, name, module)
    return types.SimpleNamespace(reconstruct=reconstruct, Network=Network)
