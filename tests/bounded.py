"""A limit on what a piece of a test may cost: memory at its peak, and time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PEAK = Path("/proc/self/clear_refs")  # Linux: writing 5 forgets the peak of the resident memory


@contextmanager
def bounded(megabytes: float = 250, seconds: float = 20) -> Iterator[None]:
    """Fails when the block takes more; memory is only measured on Linux, but there torch's counts too."""
    if PEAK.exists():
        PEAK.write_text("5")
    before, start = resident("VmRSS"), time.monotonic()
    yield
    assert time.monotonic() - start < seconds
    assert resident("VmHWM") - before < 1e6 * megabytes


def resident(key: str) -> float:
    """Bytes of VmRSS (now) or VmHWM (at the peak)."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * float(line.split()[1]) for line in lines if line.startswith(key)), 0.0)
