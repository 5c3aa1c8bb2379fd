"""How the page feels: from `python app.py` to a usable page, dragging a slider, and the idle server's memory.

    python benchmarks/page.py                          # the first domain of configs/
    python benchmarks/page.py --configs tests/configs  # what the page itself costs, without a real generator

Needs Chromium and the Python package playwright, and cached weights. Prints a Markdown table.
"""

import argparse
import math
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Error, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds

FIND = """
    const image = document.querySelector('#edited img.shown');
    const bar = document.querySelector(`#slider${place} input[type=range]`);
"""
# From a slider's new value until the picture that answers it is decoded; then the next value.
STEP = (
    f"async ([place, value]) => {{ {FIND}"
    + """
    const before = image.src;
    const began = performance.now();
    window.sliders.held = true;
    bar.value = value;
    bar.dispatchEvent(new Event('input', {bubbles: true}));
    while (image.src === before) await new Promise((next) => setTimeout(next, 1));
    await image.decode();
    return performance.now() - began;
}"""
)

# A slider dragged at 60 events a second: how many different pictures are shown.
DRAG = (
    f"async ([place, seconds]) => {{ {FIND}"
    + """
    let shown = 0;
    const watcher = new MutationObserver(() => { shown += 1; });
    watcher.observe(image, {attributes: true, attributeFilter: ['src']});
    const low = Number(bar.min), high = Number(bar.max), began = performance.now();
    window.sliders.held = true;
    for (let now = 0; now < seconds; now = (performance.now() - began) / 1000) {
        bar.value = low + (high - low) * (0.5 + 0.45 * Math.sin(2 * now));
        bar.dispatchEvent(new Event('input', {bubbles: true}));
        await new Promise((next) => setTimeout(next, 1000 / 60));
    }
    window.sliders.held = false;
    bar.dispatchEvent(new PointerEvent('pointerup', {bubbles: true}));
    return shown / seconds;
}"""
)
# From now until the first slider has another name, and is painted.
RENAMED = """async (before) => {
    const label = () => document.querySelector('#slider0 [data-testid=block-info]')?.textContent.trim();
    const began = performance.now();
    document.querySelector('[role=option]:not([aria-selected=true])').dispatchEvent(
        new MouseEvent('mousedown', {bubbles: true}));
    while (!label() || label() === before) await new Promise((next) => setTimeout(next, 1));
    await new Promise((next) => requestAnimationFrame(() => setTimeout(next, 0)));
    return performance.now() - began;
}"""


def memory(pid: int) -> float:
    """Resident memory of a process, GB (Linux)."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) / 1e6


def steps(page: Page, place: int, count: int) -> list[float]:
    """Milliseconds from each of `count` slider values to its picture; the first three warm up."""
    bar = page.locator(f"#slider{place} input[type=range]")
    low, high = (float(bar.get_attribute(end) or 0) for end in ("min", "max"))
    values = [low + (high - low) * (0.1 + 0.8 * ((7 * i) % 20) / 20) for i in range(count + 3)]
    return [page.evaluate(STEP, [place, value]) for value in values][3:]


def switches(page: Page, count: int) -> list[float]:
    """Milliseconds from choosing another source of directions to its sliders; the first two fill caches."""
    times = []
    for _ in range(count + 2):
        before = page.locator("#slider0 [data-testid=block-info]").inner_text()
        page.locator("#title").click()  # a list that has the focus does not open again
        page.locator("#source input").click()
        page.locator("[role=option]").first.wait_for()
        if page.locator("[role=option]").count() < 2:
            return [math.nan]  # a domain with one source
        times.append(page.evaluate(RENAMED, before.strip()))
        time.sleep(0.5)
    return times[2:]


def measure(page: Page, url: str, process: subprocess.Popen, count: int) -> dict[str, str]:
    """Rows of the table, for a server that was started just now."""
    began = time.monotonic()
    while process.poll() is None and time.monotonic() - began < PATIENCE:
        with suppress(Error):  # nobody listens yet
            page.goto(url)
            break
        time.sleep(0.1)
    page.locator("#upload").wait_for()
    usable = time.monotonic() - began
    page.locator("#edited img.shown[src^='data:']").wait_for()
    pictured = time.monotonic() - began
    idle = memory(process.pid)
    page.get_by_role("tab", name="Edit").click()
    page.locator("#slider0").wait_for()
    times = steps(page, 0, count)
    rate = page.evaluate(DRAG, [1, 5])
    tail, switched = sorted(times)[int(0.9 * len(times))], switches(page, 12)
    sources = f"{statistics.median(switched):.0f} ms ({max(switched):.0f} ms)"
    return {
        "page usable after `python app.py`": f"{usable:.1f} s",
        "first picture shown": f"{pictured:.1f} s",
        "resident memory, idle after the first picture": f"{idle:.2f} GB",
        "slider to new pixels, median (90 %)": f"{statistics.median(times):.0f} ms ({tail:.0f} ms)",
        "pictures a second while dragging": f"{rate:.1f}",
        "another source of directions, median (most)": sources,
        "resident memory after dragging": f"{memory(process.pid):.2f} GB",
    }


def main() -> None:
    """Start a server and a browser, measure, stop both."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--configs", type=Path, default=ROOT / "configs")
    parser.add_argument("--count", type=int, default=40, help="slider values to time")
    chosen = parser.parse_args()
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]  # that nobody listens on
    with tempfile.TemporaryDirectory() as shares, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(PATIENCE * 1000)
        command = [sys.executable, "app.py", "--configs", str(chosen.configs.resolve()), "--port", str(port)]
        process = subprocess.Popen([*command, "--share-dir", shares], cwd=ROOT, stderr=subprocess.DEVNULL)
        try:
            rows = measure(page, f"http://127.0.0.1:{port}/", process, chosen.count)
        finally:
            process.terminate()
            process.wait(timeout=30)
            browser.close()
    lines = ["| page | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows.items())]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
