"""A domain whose weights are not there yet: offered, fetched, or not; and a crop that is drawn."""

import hashlib
import http.server
import threading
import time

import pytest
import torch
import yaml
from synthetic_checkpoints import nvidia, rosinality, widths
from test_story import TOY, bar, drag, source, tab

pytestmark = pytest.mark.browser

COMMIT = "0123456789" * 4
# `python app.py` with another manifest
START = """import pathlib, sys
from backends import manifest
manifest.FILE = pathlib.Path(sys.argv.pop(1))
import app
app.main()
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """One file of one commit, slowly; nothing at all while it is not `open`."""

    content = b""
    open = threading.Event()

    def do_HEAD(self) -> None:
        found = self.open.is_set() and self.path.endswith(f"{COMMIT}/net.pt")
        self.send_response(200 if found else 404)
        if found:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(self.content).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.content) if found else 0))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        step = len(self.content) // 10
        for start in range(0, len(self.content) if self.open.is_set() else 0, step):
            self.wfile.write(self.content[start : start + step])
            time.sleep(0.3)

    def log_message(self, format: str, *args: object) -> None:
        """Keeps the test output clean."""


@pytest.fixture
def hub(tmp_path):
    torch.manual_seed(0)
    state = rosinality(nvidia(widths(32, 256, 64), 64), 4)
    torch.save({"g_ema": state, "latent_avg": torch.zeros(64)}, tmp_path / "net.pt")
    Hub.content = (tmp_path / "net.pt").read_bytes()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def url(serve, hub, tmp_path):
    """A page with the toy and a domain on the hub."""
    member = {"path": "net.pt", "sha256": hashlib.sha256(Hub.content).hexdigest(), "size": len(Hub.content)}
    entry = {"description": "a far network", "licence": "MIT; made up", "optional": True}
    entry |= {"converter": "checkpoint", "members": {"net.pt": member}}
    entry["source"] = {"name": "hub", "repository": "someone/net", "revision": COMMIT}
    (tmp_path / "weights.yaml").write_text(yaml.safe_dump({"far": entry}))
    (tmp_path / "start.py").write_text(START)
    configs = tmp_path / "configs"
    configs.mkdir()
    toy = yaml.safe_load((TOY / "toy.yaml").read_text())
    (configs / "toy.yaml").write_text(yaml.safe_dump(toy))
    far = toy | {"title": "Far away", "order": 200, "generator": {"name": "stylegan2", "weights": "far"}}
    (configs / "far.yaml").write_text(yaml.safe_dump(far))
    extra = {"HF_ENDPOINT": hub, "HF_HUB_OFFLINE": "0", "SEMANTIC_SLIDERS_CACHE": str(tmp_path / "cache")}
    script = [str(tmp_path / "start.py"), str(tmp_path / "weights.yaml")]
    return serve(configs, tmp_path / "shares", script=script, extra=extra).url


def choose(page, words):
    page.locator("#domain input").click()
    page.get_by_role("option", name=words).click()


def test_a_domain_is_fetched_when_it_is_chosen(url, visit):
    from playwright.sync_api import expect

    page = visit(url).page
    before = source(page)
    Hub.open.clear()
    choose(page, "Far away · downloads 1 MB, MIT")
    page.locator("#status [data-kind=problem]").wait_for()
    assert "someone/net" in page.locator("#status .text").inner_text()
    expect(page.locator("#domain input")).to_have_value("Waves (toy)")
    assert source(page) == before  # the page is where it was

    Hub.open.set()
    choose(page, "Far away")
    page.locator("#status progress:not([hidden])").wait_for()
    assert "a far network" in page.locator("#status .text").inner_text()
    assert "(MIT; made up)" in page.locator("#status .text").inner_text()
    tab(page, "Edit")
    drag(page, 0, 0.9)  # the domain before it can still be edited
    page.locator("#status", has_text="Far away: ready.").wait_for()
    page.wait_for_function("document.querySelector('#edited img.shown').naturalWidth === 32")
    expect(page.locator("#domain input")).to_have_value("Far away")  # no size any more
    bar(page, 0).focus()
    page.keyboard.press("End")
    # a random network hardly changes: what the picture is called tells that it was drawn anew
    expect(page.locator("#edited img.shown")).to_have_attribute("alt", "Edited picture: SeFa/SeFa 1 +3.0")


def test_a_square_is_drawn_on_a_photograph(url, visit, tmp_path):
    from PIL import Image
    from playwright.sync_api import expect
    from test_story import changed, upload

    page = visit(url).page
    path = tmp_path / "halves.png"
    photo = Image.new("RGB", (400, 200), (200, 30, 30))
    photo.paste((30, 30, 200), (200, 0, 400, 200))
    photo.save(path)
    upload(page, path)
    square = page.locator("#crop .square")
    square.wait_for()
    first = source(page, "original")
    box, frame = square.bounding_box(), page.locator("#crop .photo").bounding_box()
    assert box["width"] == pytest.approx(box["height"], abs=3)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"], box["y"] + 20, steps=5)
    page.mouse.up()
    changed(page, first, "original")
    blue = source(page, "original")
    assert square.bounding_box()["x"] + box["width"] <= frame["x"] + frame["width"] + 2  # stays within
    square.focus()
    for _ in range(40):
        page.keyboard.press("ArrowLeft")
    changed(page, blue, "original")
    assert square.bounding_box()["x"] == pytest.approx(frame["x"], abs=3)
    page.keyboard.press("-")
    expect(square).to_be_visible()
    assert square.bounding_box()["width"] < box["width"]
    page.locator("#invert:not([disabled])").click()
    page.locator("#status", has_text="Inverted after").wait_for()
