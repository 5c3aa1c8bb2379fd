"""Domains whose weights are not there yet: what the page says and does meanwhile."""

import threading
import time

import pytest
from visiting import CONFIGS, Desk, Heads, arrived, png, uploaded

from backends.manifest import Entry
from backends.sources import Source
from backends.weights import WeightsError
from sharing import ShareStore
from ui import fetching, photograph, views
from ui.models import Models
from ui.page import Page
from ui.state import Visit


class Far(Source):
    """Where 120 MB are published."""

    address = "far away"

    def fetch(self, members, folder, downloads):
        raise AssertionError("fetched")

    def download(self, members):
        return 120_000_000


def entry(name: str) -> Entry:
    return Entry(name, f"the {name} network", "CC BY 4.0", Far(), {}, "")


def test_missing_weights_are_announced_with_size_and_licence(models, monkeypatch):
    editor = models.editor("toy")
    asked = []
    monkeypatch.setattr(fetching, "missing", lambda _: [entry("big")])
    monkeypatch.setattr(fetching.weights, "prepare", lambda name: (asked.append(name), time.sleep(0.1)))
    lines = [update["status"] for update in fetching.fetched(editor)]
    assert asked == ["big"]
    assert "the big network" in lines[0]["text"]
    assert "from far away (CC BY 4.0)" in lines[0]["text"]
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
    monkeypatch.setattr(Entry, "missing", lambda entry: {"a.bin": None})
    monkeypatch.setattr(fetching.weights, "entries", lambda: {each: entry(each) for each in (name, "other")})
    assert [entry.name for entry in fetching.missing(editor)] == [name]


class Slow:
    """Weights that arrive when they are told to."""

    def __init__(self, monkeypatch, names=("big",)):
        self.go = threading.Event()
        self.there: set[str] = set()
        self.failure: Exception | None = None
        entries = {name: entry(name) for name in names}
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
def slow(monkeypatch):
    return Slow(monkeypatch)


@pytest.fixture
def elsewhere():
    """A visitor whose page shows another domain."""
    return Visit("other", "other")


def test_a_domain_is_fetched_before_it_is_shown(slow, page, elsewhere):
    run = page.domain.choose(elsewhere, "toy")
    first = next(run)
    assert list(first) == ["status"]  # nothing else on the page changes meanwhile
    assert "of 120 MB" in first["status"]["text"]
    assert first["status"]["progress"] is not None
    assert elsewhere.domain == "other"
    slow.go.set()
    assert arrived(run)["domain"].value == elsewhere.domain == "toy"


def test_a_failed_download_leaves_the_page_where_it_was(slow, elsewhere, tmp_path):
    for name in ("toy", "other"):
        (tmp_path / f"{name}.yaml").write_text((CONFIGS / "toy.yaml").read_text())
    page = Desk(ShareStore(tmp_path), tmp_path)
    slow.failure = WeightsError("no network here")
    slow.go.set()
    shown, error = failed(page.domain.choose(elsewhere, "toy"))
    assert "no network" in str(error)
    assert shown["domain"].value == elsewhere.domain == "other"
    assert set(shown) == {"status", "domain"}
    slow.failure = None
    arrived(page.domain.choose(elsewhere, "toy"))  # another try is another try
    assert elsewhere.domain == "toy"


def test_whoever_chooses_again_does_not_wait(slow, page, elsewhere):
    run = page.domain.choose(elsewhere, "toy")
    next(run)
    slow.there.add("big")  # as if the second choice needed nothing
    another = Visit("other", "other")
    arrived(page.domain.choose(another, "toy"))
    assert another.domain == "toy"
    elsewhere.choice = "other"
    assert list(run) == []
    slow.go.set()


def test_whoever_chooses_what_is_shown_stays_there(slow, page, visit):
    """Also while another domain is on its way; everything that was done is still there."""
    page.domain.sample(visit, 3)
    work, panel = visit.work, visit.panel
    assert list(page.domain.choose(visit, "toy")) == []
    visit.choice = "other"  # on its way
    [update] = page.domain.choose(visit, "toy")
    assert list(update) == ["status"]
    assert (visit.work, visit.panel, visit.choice) == (work, panel, "toy")


def test_two_visitors_watch_one_download(monkeypatch, slow, page):
    asked = []
    prepare = slow.prepare
    monkeypatch.setattr(fetching.weights, "prepare", lambda name: (asked.append(name), prepare(name)))
    visits = [Visit("other", "other") for _ in "ab"]
    runs = [page.domain.choose(each, "toy") for each in visits]
    for run in runs:
        next(run)
    slow.go.set()
    assert [arrived(run)["domain"].value for run in runs] == ["toy", "toy"]
    assert [each.domain for each in visits] == ["toy", "toy"]
    assert asked == ["big"]


def test_an_inverter_is_fetched_when_one_inverts(slow, page, visit, photo):
    uploaded(page, visit, photo, "hand")
    run = page.photograph.ready(visit, "steps")
    assert "of 120 MB" in next(run)["status"]["text"]
    slow.failure = WeightsError("no network here")
    slow.go.set()
    with pytest.raises(WeightsError):
        list(run)
    assert list(page.photograph.invert(visit, "steps", 4)) == []  # does not begin without them
    assert visit.work is None
    slow.there.add("big")
    arrived(page.photograph.invert(visit, "steps", 4))
    assert visit.work is not None


@pytest.fixture
def file(photo, tmp_path, monkeypatch):
    """An upload, as the browser names it."""
    monkeypatch.setattr(photograph, "get_upload_folder", lambda: str(tmp_path))
    (tmp_path / "a.png").write_bytes(png(photo))
    return {"path": str(tmp_path / "a.png")}


def test_without_its_weights_no_photograph_is_looked_at(slow, page, visit, file):
    slow.failure = WeightsError("no network here")
    slow.go.set()
    shown, _ = failed(page.photograph.receive(visit, file, "align"))
    assert list(shown) == ["status"]
    assert visit.photo is None


def test_a_photograph_for_a_domain_that_was_left_is_not_shown(slow, page, visit, file):
    page.models.editor("toy").aligner = Heads(heads=1)
    run = page.photograph.receive(visit, file, "align")
    next(run), next(run)
    visit.domain = "other"
    slow.go.set()
    assert all(list(update) == ["status"] for update in run)
    assert visit.photo is None


def test_the_list_of_domains_says_what_is_fetched(tmp_path, monkeypatch):
    from config import CONFIGS as OWN

    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))
    offered = {name: label for label, name in Models(OWN).offered()}
    assert "downloads 133 MB, NVIDIA Source Code Licence, non-commercial" in offered["ffhq_stylegan2"]
    assert "needs files of yours, 119 MB" in offered["tower_stylegan1"]
    inverters = [label for label, _ in views.inverters(Models(OWN).editor("ffhq_stylegan2"))]
    assert inverters[0].startswith("e4e · downloads 1.2 GB, MIT code, non-commercial weights")
    place = tmp_path / "stylegan2_ffhq1024"
    place.mkdir()
    with (place / "stylegan2-ffhq-config-f.pt").open("wb") as file:
        file.truncate(132_729_083)
    offered = {name: label for label, name in Models(OWN).offered()}
    assert offered["ffhq_stylegan2"] == Models(OWN).domains["ffhq_stylegan2"].title


def test_a_link_whose_weights_cannot_be_had_shows_the_first_domain(monkeypatch, page):
    calls = []

    def fail(editor, *_):
        calls.append(editor.name)
        if len(calls) == 1:
            raise WeightsError("no network here")
        yield from ()

    monkeypatch.setattr("ui.saving.fetched", fail)
    visit = Visit()
    opened = arrived(page.saving.open(visit, "?domain=toy&seed=3", {}))
    assert opened["status"]["text"] == "no network here"
    assert visit.work.seed == 1


def test_two_visitors_load_a_network_once(tmp_path):
    """Both ask what the domain is like, which is known from its weights, while nobody else computes."""
    page = Desk(ShareStore(tmp_path))
    loads = []

    class Slowly(type(page.models.editor("toy").generator)):
        def __getattribute__(self, name):
            if name in ("layers", "dim", "mean", "sample") and "there" not in vars(self):
                loads.append(name)
                time.sleep(0.2)
                vars(self)["there"] = True
            return super().__getattribute__(name)

    page.models.editor("toy").generator = Slowly()
    visits = [Visit("toy", "toy", page.models.panel("toy")) for _ in range(4)]
    runs = [threading.Thread(target=views.settings, args=(page.models, each)) for each in visits]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert len(loads) == 1


def test_the_log_says_once_what_is_fetched(tmp_path, monkeypatch, caplog):
    texts = [f"the network: {place} of 120 MB" for place in (1, 1, 2, 3)] + ["the network: unpacking"] * 9
    lines = [{"status": {"text": text}} for text in [*texts, "another network: 1 of 5 MB"]]
    monkeypatch.setattr("ui.page.fetched", lambda _: iter(lines))
    page = Page(ShareStore(tmp_path), CONFIGS)
    with caplog.at_level("INFO", "ui.page"):
        page.warm()
    assert [record.getMessage() for record in caplog.records] == [texts[0], "another network: 1 of 5 MB"]
    caplog.clear()
    monkeypatch.setattr("ui.page.REPORT_SECONDS", 0.0)
    with caplog.at_level("INFO", "ui.page"):
        page.warm()
    assert len(caplog.records) == len(lines)
