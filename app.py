"""Semantic Sliders in the browser: `python app.py`, then open the address that it prints."""

import argparse
import atexit
import logging
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import environment  # noqa: F401

# isort: split
# Also before Gradio is imported: every server has its own folder for uploads.
if "GRADIO_TEMP_DIR" not in os.environ:
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="semantic-sliders-")
    atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)

from config import CONFIGS, ConfigError
from sharing import ShareStore, default_directory
from ui.page import CSS, HEAD, Page, theme

log = logging.getLogger("app")

UPLOAD = "25mb"
WARM_UP = 4.0  # seconds from the first answer until the model is loaded unasked
LOOK = 0.01  # seconds between two looks into the empty queue; Gradio's 0.001 keeps a core busy at 5 %
WAITING = 64  # requests in the queue; more are asked to come again
SESSIONS = 1000  # of which Gradio remembers what it told them


def options() -> argparse.Namespace:
    """The command line; PORT and GRADIO_SERVER_PORT are respected, as hosts set them."""
    environ = os.environ
    port = int(environ.get("GRADIO_SERVER_PORT") or environ.get("PORT") or 7860)
    host = environ.get("GRADIO_SERVER_NAME") or ("0.0.0.0" if "SPACE_ID" in environ else "127.0.0.1")
    shares = default_directory()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default=host, help="%(default)s; 0.0.0.0 for every network")
    parser.add_argument("--port", type=int, default=port, help="%(default)s; 0 for any free one")
    parser.add_argument("--configs", type=Path, default=CONFIGS, help="folder with one YAML file a domain")
    parser.add_argument("--share-dir", type=Path, default=shares, help="where shared links are kept")
    return parser.parse_args()


def launch(page: Page, host: str = "127.0.0.1", port: int | None = None) -> tuple[Any, str]:
    """Start serving without blocking. Returns the web application and its address."""
    page.blocks.queue(max_size=WAITING, api_open=False, default_concurrency_limit=1)
    page.blocks._queue.sleep_when_free = LOOK
    application, address, _ = page.blocks.launch(
        server_name=host,
        server_port=port,
        theme=theme(),
        css=CSS,
        head=HEAD,
        prevent_thread_lock=True,
        quiet=True,
        show_error=False,  # handlers say what a visitor should know
        max_file_size=UPLOAD,
        state_session_capacity=SESSIONS,
        footer_links=[],
        run_history=False,  # it would keep faces in the browser
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        share=False,
    )
    application.add_api_route("/healthz", lambda: {"status": "ok"}, methods=["GET", "HEAD"])
    return application, address


def repeat(seconds: float, task: Callable[[], object]) -> None:
    """Does a task now and every so many seconds, in a thread of its own; what fails is tried again."""

    def run() -> None:
        while True:
            try:
                task()
            except Exception as error:
                log.warning("%s failed: %s", task, error)
            time.sleep(seconds)

    threading.Thread(target=run, name="repeat", daemon=True).start()


def main() -> None:
    """Serve until interrupted."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    chosen = options()
    try:
        page = Page(ShareStore(chosen.share_dir), chosen.configs)
    except ConfigError as error:
        raise SystemExit(str(error)) from error
    _, address = launch(page, chosen.host, chosen.port or None)
    # The first visitor should not wait for what can be done now. Who is there already has two processor cores
    # to load the page with, and then asks for the same.
    warm_up = threading.Timer(WARM_UP, page.warm)
    warm_up.daemon = True
    warm_up.start()
    repeat(60, page.visits.expire)
    repeat(3600, page.store.sweep)
    log.info("the page is at %s", address)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that atexit cleans up
    page.blocks.block_thread()


if __name__ == "__main__":
    main()
