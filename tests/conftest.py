"""Checks every annotation of the project while it is tested, and finds the browser."""

import os
import shutil

import jaxtyping
import pytest

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

# Before anything of the project is imported: shapes and types are then checked at every call.
CHECKED = ["backends", "directions", "training", "editor", "plugins", "sharing", "ui"]
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
