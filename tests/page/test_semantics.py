"""What stands beside the sliders: measured names, thumbnails, attributes that are kept."""

import base64
import io
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from visiting import HEADERS, arrived, bars, inverted, moved, query, started

from backends import cache
from config import ConfigError
from directions import DirectionSource
from evaluation import naming
from plugins import find
from ui import thumbnails
from ui.state import Panel, Visit


@pytest.fixture
def sliders(page, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "cache"))
    return page.sliders


def test_measured_names_purity_and_order(page, visit, sliders):
    editor = page.models.editor("toy")
    source = editor.source("SeFa")
    rows = {
        "SeFa 1": naming.Named("hardly anything (SeFa 1)", 0.2, 0.1, 1.0, "weak"),
        "SeFa 2": naming.Named("greener (SeFa 2)", 0.75, 1.2, 1.0),
        "SeFa 3": naming.Named("destroys (SeFa 3)", 0.1, 1.2, 0.1, "destroys"),
    }
    naming.keep("toy", {naming.key(editor.generator.fingerprint, source): rows})
    listed = bars(started(page, visit))
    assert listed[0]["label"] == "greener (SeFa 2)"
    assert [bar["label"] for bar in listed[4:]] == ["hardly anything (SeFa 1)", "destroys (SeFa 3)"]
    assert [bar["row"] for bar in listed] == [1, 3, 4, 5, 0, 2]
    assert [bar["purity"] for bar in listed] == [0.75, None, None, None, 0.2, 0.1]
    assert "destroys" in listed[5]["mark"]
    moved(page, visit, 1.0)
    assert visit.work.edit == {"SeFa/SeFa 2": 1.0}  # a slider moves what it says


def test_thumbnails_are_drawn_once_and_show_both_ends(page, visit, sliders, monkeypatch):
    monkeypatch.setattr("ui.sliders.QUIET_SECONDS", 0.0)
    assert started(page, visit)["sliders"]["sheet"]["url"] == ""
    updates = list(sliders.illustrate(visit))
    assert "value" not in updates[-1]["sliders"]  # thumbnails that come late leave the sliders where they are
    drawn = updates[-1]["sliders"]["sheet"]
    assert drawn["rows"] == 6
    data = base64.b64decode(drawn["url"].removeprefix("data:image/webp;base64,"))
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    assert sheet.shape == (6 * 64, 128, 3)
    assert np.abs(sheet[:64, :64] - sheet[:64, 64:]).mean() > 3
    assert list(sliders.illustrate(visit, {"drawn": 6})) == []
    for said in (None, "six", {"drawn": "six"}, {"drawn": 5}):  # another visitor's may be ready since
        assert [each["sliders"]["sheet"]["rows"] for each in sliders.illustrate(visit, said)] == [6]
    again = started(page, visit)["sliders"]["sheet"]
    assert again["rows"] == 6
    assert again["url"]
    fewer = sliders.arrange(visit, "SeFa", "all", 3)["sliders"]["sheet"]
    assert fewer["rows"] == 6


@pytest.mark.parametrize(
    "leaves", [lambda visit: visit.close(), lambda visit: setattr(visit, "panel", Panel())]
)
def test_nothing_is_drawn_for_who_shows_something_else(page, visit, sliders, leaves):
    started(page, visit)
    page.models.moved = time.monotonic() + 1000  # somebody moves a slider all the time
    drawing = sliders.illustrate(visit)
    threading.Timer(0.3, lambda: leaves(visit)).start()
    assert list(drawing) == []


def test_sheets_of_typed_layers_do_not_fill_the_disk(page, visit, sliders, monkeypatch):
    monkeypatch.setattr("ui.sliders.QUIET_SECONDS", 0.0)
    monkeypatch.setattr(thumbnails, "MOST_SHEETS", 3)
    started(page, visit)

    def drawn(layers):
        sliders.arrange(visit, "SeFa", layers, 2)
        return arrived(sliders.illustrate(visit))["sliders"]["sheet"]

    folder = cache.folder() / "thumbnails"
    for layers in ("0", "1", "2", "3", "4"):
        assert drawn(layers)["rows"] == 2
        time.sleep(0.01)  # for files of different age
    assert len(list(folder.iterdir())) == 3
    monkeypatch.setattr(thumbnails, "MOST_BYTES", 1 + max(file.stat().st_size for file in folder.iterdir()))
    drawn("0-1")
    assert len(list(folder.iterdir())) == 1
    assert thumbnails.sheet(page.models.editor("toy"), visit.panel).rows == 2  # the youngest one stays


@pytest.fixture
def attributes(page, tmp_path):
    """The toy with three boundaries, two of them alike."""
    torch.manual_seed(0)
    first, other, third = torch.nn.functional.normalize(torch.randn(3, 16), dim=1)
    for name, vector in {"smile": first, "age": (first + other) / 2, "hat": third}.items():
        np.save(tmp_path / f"{name}.npy", vector.numpy()[None])
    files = {name: str(tmp_path / f"{name}.npy") for name in ("smile", "age", "hat")}
    source = find(DirectionSource, "interfacegan")(files=files)
    page.models.editor("toy").sources["Attributes"] = source
    return ("Attributes", "all", 3)


def test_an_attribute_that_is_kept_does_not_move(page, visit, sliders, attributes):
    started(page, visit)
    arranged = sliders.arrange(visit, *attributes)
    assert arranged["keep"].visible
    assert [name for name, _ in arranged["keep"].choices] == ["smile", "age", "hat"]
    free = moved(page, visit, 1.0)["edited"]
    kept = sliders.keep(visit, ["age"])
    assert visit.work.edit == {"Attributes/smile | keep age": 1.0}  # the slider stays where it is
    assert bars(kept)[0]["value"] == 1.0
    assert bars(kept)[0]["label"] == "smile"
    assert kept["edited"]["src"] != free["src"]
    editor, latents = page.models.editor("toy"), visit.work.latents
    step = editor.edited(latents, visit.work.edit) - latents
    age = editor.direction("Attributes/age").step(latents)
    assert abs(float((step * age).sum())) < 1e-4 * float(step.norm() * age.norm())
    sliders.keep(visit, [])
    assert visit.work.edit == {"Attributes/smile": 1.0}
    sliders.keep(visit, ["age"])
    assert not sliders.arrange(visit, "SeFa", "all", 6)["keep"].visible
    assert visit.panel.keep == ()


def test_what_cannot_be_kept_changes_nothing(page, visit, sliders, attributes, tmp_path):
    source = page.models.editor("toy").sources["Attributes"]
    source.files = source.files | {"grin": source.files["smile"]}
    started(page, visit)
    sliders.arrange(visit, *attributes)
    moved(page, visit, 1.0)
    with pytest.raises(ConfigError, match="smile cannot change without grin"):
        sliders.keep(visit, ["grin"])
    assert visit.panel.keep == ()
    assert visit.work.edit == {"Attributes/smile": 1.0}


def test_links_remember_what_is_kept(page, visit, sliders, attributes, photo):
    started(page, visit)
    for seed in (True, False):
        if not seed:
            inverted(page, visit, photo)
        sliders.arrange(visit, *attributes)
        sliders.keep(visit, ["age", "hat"])
        moved(page, visit, 1.5)
        other = Visit()
        opened = arrived(page.saving.open(other, query(page.saving.share(visit, 7, True, {}, HEADERS)), {}))
        assert opened["keep"].value == ["age", "hat"]
        assert bars(opened)[0]["value"] == 1.5
        assert other.work.edit == {"Attributes/smile | keep age, hat": 1.5}
