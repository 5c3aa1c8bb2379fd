"""Machine code on disk is never that of older files."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("numba")
ROOT = Path(__file__).parent.parent
PROGRAM = """
import numpy as np
from backends.kernels import separable_loops as loops
from backends.kernels.simd import WIDTH
ones, out = np.ones(3 * WIDTH, np.float32), np.zeros(WIDTH, np.float32)
loops.depthwise_row(ones, 0, WIDTH, 2 * WIDTH, np.full(9 * WIDTH, 2, np.float32), 1, WIDTH, out, 0)
print(float(out[0]), sum(loops.depthwise_row.stats.cache_hits.values()))
"""


@pytest.fixture
def run(tmp_path):
    """Runs PROGRAM on a copy of the code: a sum of three ones times two, and the hits of the cache."""
    for name in ("backends", "config.py", "plugins.py"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    environment = {
        **os.environ,
        "SEMANTIC_SLIDERS_CACHE": str(tmp_path / "cache"),
        "PYTHONPATH": str(tmp_path),
    }

    def result() -> list[float]:
        found = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [float(word) for word in found.stdout.split()]

    return result


def test_a_changed_helper_in_another_file_is_compiled_anew(run, tmp_path):
    assert run() == [6, 0]
    assert run() == [6, 1]  # from the cache
    helpers = tmp_path / "backends" / "kernels" / "simd.py"
    text = helpers.read_text()
    changed = text.replace("ir.Constant(VECTOR, [0.0] * WIDTH)", "ir.Constant(VECTOR, [1.0] * WIDTH)")
    assert changed != text
    helpers.write_text(changed)
    assert run() == [7, 0]  # the sum begins with one
    helpers.write_text(text)
    assert run() == [6, 1]


def test_few_old_versions_are_kept(tmp_path, monkeypatch):
    from backends.kernels import compiler

    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))
    for age in range(6):
        (tmp_path / "kernels" / f"old{age}").mkdir(parents=True)
        os.utime(tmp_path / "kernels" / f"old{age}", (1000 - age, 1000 - age))
    present = compiler.code_folder.__wrapped__()
    kept = {path.name for path in (tmp_path / "kernels").iterdir()}
    assert kept == {present.name, "old0", "old1", "old2"}


def test_without_a_place_nothing_is_kept(tmp_path, monkeypatch, caplog):
    from backends.kernels import compiler

    (tmp_path / "file").touch()
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "file"))
    assert compiler.code_folder.__wrapped__() is None
    assert "compiled at every start" in caplog.text
