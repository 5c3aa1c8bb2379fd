"""A server in a process of its own, and pages that may only speak with it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds for anything; a busy machine is slow, and only a broken page takes this long
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-extensions",
]
ARGUMENTS += [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
]


class Server:
    """`python app.py` as a user starts it, or another `script` that starts it, with `extra` variables."""

    def __init__(
        self,
        configs: Path,
        shares: Path,
        script: Sequence[str] = ("app.py",),
        extra: Mapping[str, str] | None = None,
    ) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/"
        environment = {**os.environ, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        environment |= {"PYTHONPATH": str(ROOT), **(extra or {})}
        command = [sys.executable, *script, "--configs", str(configs), "--port", str(self.port)]
        command += ["--share-dir", str(shares)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + PATIENCE
        while not self.healthy():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                assert self.process.stderr
                pytest.fail(f"the server did not start: {self.process.stderr.read()[-2000:]}")
            time.sleep(0.2)

    def healthy(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}healthz", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=30)


class Visitor:
    """One browser window of its own, with what it asked of others and what it complained about."""

    def __init__(self, browser, width: int = 1400, height: int = 900) -> None:
        permissions = ["clipboard-read", "clipboard-write"]
        self.context = browser.new_context(
            viewport={"width": width, "height": height}, permissions=permissions
        )
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE * 1000)
        self.outside: list[str] = []
        self.errors: list[str] = []
        self.page.route("**/*", self._route)
        self.page.on("console", lambda said: self.errors.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _route(self, route) -> None:
        if route.request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            route.continue_()
        else:
            self.outside.append(route.request.url)
            route.abort()

    def open(self, url: str) -> "Visitor":
        self.page.goto(url)
        self.page.locator("#edited img.shown[src^='data:']").wait_for()
        return self

    def close(self) -> None:
        """Fails the test if the page complained, or asked anyone but our server for anything."""
        self.context.close()
        assert self.outside == []
        assert self.errors == []


@pytest.fixture(scope="session")
def browser(chromium) -> Iterator[object]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def visit(browser):
    """Opens windows, and at the end checks that none of them complained or asked elsewhere."""
    visitors: list[Visitor] = []

    def opened(url: str, **size: int) -> Visitor:
        visitors.append(Visitor(browser, **size))
        return visitors[-1].open(url)

    yield opened
    for visitor in visitors:
        visitor.close()


@pytest.fixture(scope="session")
def serve():
    """Starts servers, and stops those that a test left running."""
    servers: list[Server] = []

    def started(configs: Path, shares: Path, **options: Any) -> Server:
        servers.append(Server(configs, shares, **options))
        return servers[-1]

    yield started
    for server in servers:
        if server.process.poll() is None:
            server.stop()
