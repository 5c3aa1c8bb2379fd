"""What stands beside the sliders: measured names, thumbnails, attributes that are kept."""

import base64
import io
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from visiting import HEADERS, PANEL, arrived, bars, inverted, moved, query, started

from directions import DirectionSource
from evaluation import naming
from plugins import find
from ui.sliders import Sliders


@pytest.fixture
def sliders(handlers, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "cache"))
    return Sliders(handlers)


def test_measured_names_purity_and_order(handlers, sliders):
    editor = handlers.editor("toy")
    source = editor.source("SeFa")
    rows = {
        "SeFa 1": naming.Named("hardly anything (SeFa 1)", 0.2, 0.1, 1.0, "weak"),
        "SeFa 2": naming.Named("greener (SeFa 2)", 0.75, 1.2, 1.0),
        "SeFa 3": naming.Named("destroys (SeFa 3)", 0.1, 1.2, 0.1, "destroys"),
    }
    naming.keep("toy", {naming.key(editor.generator.fingerprint, source): rows})
    shown = started(handlers)
    listed = bars(shown)
    assert listed[0]["label"] == "greener (SeFa 2)"
    assert [bar["label"] for bar in listed[4:]] == ["hardly anything (SeFa 1)", "destroys (SeFa 3)"]
    assert [bar["row"] for bar in listed] == [1, 3, 4, 5, 0, 2]
    assert [bar["purity"] for bar in listed] == [0.75, None, None, None, 0.2, 0.1]
    assert "destroys" in listed[5]["mark"]
    work = moved(handlers, shown["work"], 1.0)["work"]
    assert work.edit == {"SeFa/SeFa 2": 1.0}  # a slider moves what it says


def test_thumbnails_are_drawn_once_and_show_both_ends(handlers, sliders, monkeypatch):
    monkeypatch.setattr("ui.sliders.CALM", 0.0)
    shown = started(handlers)
    assert shown["sliders"]["sheet"]["url"] == ""
    updates = list(sliders.illustrate(shown["work"], session="s"))
    assert "value" not in updates[-1]["sliders"]  # thumbnails that come late leave the sliders where they are
    drawn = updates[-1]["sliders"]["sheet"]
    assert drawn["rows"] == 6
    data = base64.b64decode(drawn["url"].removeprefix("data:image/webp;base64,"))
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float)
    assert sheet.shape == (6 * 64, 128, 3)
    assert np.abs(sheet[:64, :64] - sheet[:64, 64:]).mean() > 3
    assert list(sliders.illustrate(shown["work"], {"drawn": 6}, session="s")) == []
    for said in (None, "six", {"drawn": "six"}, {"drawn": 5}):  # another visitor's may be ready since
        assert [each["sliders"]["sheet"]["rows"] for each in sliders.illustrate(shown["work"], said)] == [6]
    again = started(handlers)["sliders"]["sheet"]
    assert again["rows"] == 6
    assert again["url"]
    fewer = sliders.arrange(shown["work"], "toy", "SeFa", "all", 3, [])["sliders"]["sheet"]
    assert fewer["rows"] == 6


def test_nothing_is_drawn_for_who_shows_something_else(handlers, sliders):
    shown = started(handlers)
    sliders.moved = time.monotonic() + 1000  # somebody moves a slider all the time
    drawing = sliders.illustrate(shown["work"], session="s")
    threading.Timer(0.3, lambda: handlers.panels.pop("s")).start()
    assert list(drawing) == []


@pytest.fixture
def attributes(handlers, tmp_path):
    """The toy with three boundaries, two of them alike."""
    torch.manual_seed(0)
    first, other, third = torch.nn.functional.normalize(torch.randn(3, 16), dim=1)
    for name, vector in {"smile": first, "age": (first + other) / 2, "hat": third}.items():
        np.save(tmp_path / f"{name}.npy", vector.numpy()[None])
    files = {name: str(tmp_path / f"{name}.npy") for name in ("smile", "age", "hat")}
    source = find(DirectionSource, "interfacegan")(files=files)
    handlers.editor("toy").sources["Attributes"] = source
    return ("Attributes", "all", 3)


def test_an_attribute_that_is_kept_does_not_move(handlers, sliders, attributes):
    arranged = sliders.arrange(started(handlers)["work"], "toy", *attributes, [])
    assert arranged["keep"].visible
    assert [name for name, _ in arranged["keep"].choices] == ["smile", "age", "hat"]
    work = moved(handlers, arranged["work"], 1.0)["work"]
    kept = sliders.keep(work, "toy", *attributes, ["age"])
    assert kept["work"].edit == {"Attributes/smile | keep age": 1.0}  # the slider stays where it is
    assert bars(kept)[0]["value"] == 1.0
    assert bars(kept)[0]["label"] == "smile"
    assert kept["edited"]["src"] != moved(handlers, arranged["work"], 1.0)["edited"]["src"]
    editor = handlers.editor("toy")
    step = editor.edited(work.latents, kept["work"].edit) - work.latents
    age = editor.direction("Attributes/age").step(work.latents)
    assert abs(float((step * age).sum())) < 1e-4 * float(step.norm() * age.norm())
    freed = sliders.keep(kept["work"], "toy", *attributes, [])
    assert freed["work"].edit == {"Attributes/smile": 1.0}
    assert not sliders.arrange(kept["work"], "toy", *PANEL, ["age"])["keep"].visible


def test_links_remember_what_is_kept(handlers, sliders, attributes, keeping, page, photo):
    work = sliders.arrange(started(handlers)["work"], "toy", *attributes, ["age", "hat"])["work"]
    work = moved(handlers, work, 1.5)["work"]
    opened = arrived(keeping.open(query(keeping.share(work, 7, {}, HEADERS)), {}))
    assert opened["keep"].value == ["age", "hat"]
    assert bars(opened)[0]["value"] == 1.5
    stored = sliders.arrange(inverted(page, photo)[-1]["work"], "toy", *attributes, ["age", "hat"])["work"]
    stored = moved(handlers, stored, 1.5)["work"]
    opened = arrived(keeping.open(query(keeping.share(stored, 7, {}, HEADERS)), {}))
    assert opened["keep"].value == ["age", "hat"]
    assert opened["work"].edit == {"Attributes/smile | keep age, hat": 1.5}
