"""Domains whose weights are not there yet: what the page says and does meanwhile."""

import threading
import time

import pytest
from visiting import PANEL, arrived

from backends.weights import Status, WeightsError
from ui import fetching, widgets
from ui.handlers import Handlers


def test_missing_weights_are_announced_with_size_and_licence(handlers, monkeypatch):
    editor = handlers.editor("toy")
    entry = Status("big", "a network", "CC BY 4.0", "elsewhere", False, 5, 120_000_000, "")
    asked = []
    monkeypatch.setattr(fetching, "missing", lambda _: [entry])
    monkeypatch.setattr(fetching.weights, "prepare", lambda name: (asked.append(name), time.sleep(0.1)))
    lines = [update["status"] for update in fetching.fetched(editor)]
    assert asked == ["big"]
    assert "a network" in lines[0]["text"]
    assert "from elsewhere (CC BY 4.0)" in lines[0]["text"]
    assert "of 120 MB" in lines[0]["text"]

    def fail(_):
        raise WeightsError("no network here")

    monkeypatch.setattr(fetching.weights, "prepare", fail)
    with pytest.raises(WeightsError, match="no network here"):
        list(fetching.fetched(editor))


def test_a_domain_asks_for_the_weights_that_its_generator_names(monkeypatch):
    from editor import Editor

    editor = Editor.load("faces")
    name = editor.generator.weights
    listed = [Status(each, each, "", "", False, 1, 1, "") for each in (name, "something_else")]
    monkeypatch.setattr(fetching.weights, "status", lambda names: listed)
    assert [entry.name for entry in fetching.missing(editor)] == [name]


class Slow:
    """Weights that arrive when they are told to."""

    def __init__(self, monkeypatch, handlers, names=("big",)):
        self.go = threading.Event()
        self.there: set[str] = set()
        self.failure: Exception | None = None
        entries = {
            n: Status(n, f"the {n} network", "MIT", "far away", False, 5, 120_000_000, "") for n in names
        }
        monkeypatch.setattr(fetching, "LOOK", 0.01)
        monkeypatch.setattr(fetching.weights, "prepare", self.prepare)
        monkeypatch.setattr(
            fetching, "missing", lambda editor, *_: [e for n, e in entries.items() if n not in self.there]
        )

    def prepare(self, name):
        assert self.go.wait(20)
        if self.failure:
            raise self.failure
        self.there.add(name)


def failed(updates):
    """What the page shows until the error, and the error."""
    shown = {}
    try:
        for update in updates:
            shown |= update
    except WeightsError as error:
        return shown, error
    pytest.fail("nothing went wrong")


@pytest.fixture
def slow(monkeypatch, handlers):
    return Slow(monkeypatch, handlers)


def test_a_domain_is_fetched_before_it_is_shown(slow, handlers):
    run = handlers.choose("toy", "other", "s")
    first = next(run)
    assert list(first) == ["status"]  # nothing else on the page changes meanwhile
    assert "of 120 MB" in first["status"]["text"]
    assert first["status"]["progress"] is not None
    slow.go.set()
    assert arrived(run)["domain"] == "toy"


def test_a_failed_download_leaves_the_page_where_it_was(slow, handlers):
    slow.failure = WeightsError("no network here")
    slow.go.set()
    shown, error = failed(handlers.choose("toy", "toy", "s"))
    assert "no network" in str(error)
    assert shown["choice"].value == "toy"
    assert set(shown) == {"status", "choice"}
    slow.failure = None
    assert arrived(handlers.choose("toy", "other", "s"))["domain"] == "toy"  # another try is another try


def test_whoever_chooses_again_does_not_wait(slow, handlers):
    run = handlers.choose("toy", "other", "s")
    next(run)
    slow.there.add("big")  # as if the second choice needed nothing
    assert arrived(handlers.choose("toy", "other", "t"))["domain"] == "toy"  # another visitor
    handlers.choices["s"] = "other"
    assert list(run) == []
    slow.go.set()


def test_two_visitors_watch_one_download(monkeypatch, slow, handlers):
    asked = []
    prepare = slow.prepare
    monkeypatch.setattr(fetching.weights, "prepare", lambda name: (asked.append(name), prepare(name)))
    runs = [handlers.choose("toy", "other", each) for each in "ab"]
    for run in runs:
        next(run)
    slow.go.set()
    assert [arrived(run)["domain"] for run in runs] == ["toy", "toy"]
    assert asked == ["big"]


def test_an_inverter_is_fetched_when_one_inverts(slow, page, photo):
    framed = page.detect(photo, "toy", "center")
    run = page.ready(framed["photo"], "steps")
    assert "of 120 MB" in next(run)["status"]["text"]
    slow.failure = WeightsError("no network here")
    slow.go.set()
    with pytest.raises(WeightsError):
        list(run)
    assert list(page.invert(framed["photo"], "steps", 4, *PANEL)) == []  # does not begin without them
    slow.there.add("big")
    assert arrived(page.invert(framed["photo"], "steps", 4, *PANEL))["work"] is not None


def test_without_its_weights_no_photograph_is_looked_at(slow, page, photo):
    slow.failure = WeightsError("no network here")
    slow.go.set()
    shown, _ = failed(page.prepare("toy"))
    assert shown["received"] is None
    assert page.detect(None, "toy", "align") == {}


def test_the_list_of_domains_says_what_is_fetched(tmp_path, monkeypatch):
    from editor import CONFIGS as OWN

    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))
    offered = {name: label for label, name in Handlers(OWN).offered()}
    assert "downloads 133 MB, NVIDIA Source Code Licence, non-commercial" in offered["ffhq_stylegan2"]
    assert "needs files of yours, 119 MB" in offered["tower_stylegan1"]
    inverters = [label for label, _ in widgets.inverters(Handlers(OWN).editor("ffhq_stylegan2"))]
    assert inverters[0].startswith("e4e · downloads 1.2 GB, MIT code, non-commercial weights")
    place = tmp_path / "stylegan2_ffhq1024"
    place.mkdir()
    with (place / "stylegan2-ffhq-config-f.pt").open("wb") as file:
        file.truncate(132_729_083)
    offered = {name: label for label, name in Handlers(OWN).offered()}
    assert offered["ffhq_stylegan2"] == Handlers(OWN).domains["ffhq_stylegan2"].title


def test_a_link_whose_weights_cannot_be_had_shows_the_first_domain(monkeypatch, handlers, keeping):
    calls = []

    def fail(editor, *_):
        calls.append(editor.name)
        if len(calls) == 1:
            raise WeightsError("no network here")
        yield from ()

    monkeypatch.setattr("ui.keeping.fetched", fail)
    opened = arrived(keeping.open("?domain=toy&seed=3", {}))
    assert opened["status"]["text"] == "no network here"
    assert opened["work"].seed == 1
