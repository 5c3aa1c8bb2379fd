"""The page's handlers, without a server: widget values in, widget values out."""

import threading

import numpy as np
import pytest
from PIL import Image
from visiting import PANEL, Heads, Steps, arrived, bars, inverted, moved, pixels, started

from backends.aligners import AlignmentError
from backends.photos import PhotoError
from backends.weights import WeightsError
from config import ConfigError
from sharing import ShareError
from ui import photographs, wiring
from ui.links import LinkError
from ui.recent import Recent
from ui.sliders import Sliders
from ui.widgets import presets

# Samples and sliders


def test_a_sample_shows_a_picture_and_its_sliders(handlers):
    shown = started(handlers)
    assert pixels(shown["edited"]).shape == (64, 64, 3)
    assert shown["edited"] == shown["inversion"]
    assert shown["original"]["src"] == ""
    assert [bar["label"] for bar in bars(shown)] == [f"SeFa {number}" for number in range(1, 7)]
    assert all(bar["low"] < 0 < bar["high"] and bar["value"] == 0 for bar in bars(shown))


def test_the_same_seed_shows_the_same_picture(handlers):
    assert started(handlers)["edited"] == started(handlers)["edited"]
    assert started(handlers, 4)["edited"] != started(handlers)["edited"]


@pytest.mark.parametrize("seed", [None, -1, 2**32, 1.5])
def test_a_seed_that_is_none_is_refused(handlers, seed):
    with pytest.raises(ConfigError, match="whole number"):
        handlers.sample("toy", seed, *PANEL)


def test_random_and_thumbnails(handlers):
    assert handlers.random("toy", *PANEL)["work"].seed != handlers.random("toy", *PANEL)["work"].seed
    assert len(handlers.samples("toy")["samples"].value) == 4
    assert handlers.pick("toy", *PANEL, index=2)["work"].seed == handlers.domains["toy"].seeds[2]


def test_a_slider_changes_the_picture_and_zero_brings_it_back(handlers):
    shown = started(handlers)
    far = moved(handlers, shown["work"], 2.0)
    assert np.abs(pixels(far["edited"]) - pixels(shown["edited"])).mean() > 3
    back = moved(handlers, far["work"], 0.0)
    assert back["edited"]["src"] == shown["edited"]["src"]
    assert back["work"].edit == {}


def test_a_preview_is_smaller_and_of_the_same_edit(handlers):
    work = started(handlers)["work"]
    full, preview = moved(handlers, work, 1.0), moved(handlers, work, 1.0, preview=True)
    small = pixels(preview["edited"])
    assert small.shape == (32, 32, 3)
    assert np.abs(small - pixels(full["edited"]).reshape(32, 2, 32, 2, 3).mean((1, 3))).mean() < 6
    assert full["work"].edit == preview["work"].edit == {"SeFa/SeFa 1": 1.0}


def test_reset_clears_all_sliders_also_hidden_ones(handlers):
    work = moved(handlers, started(handlers)["work"], 1.0, -1.0)["work"]
    arranged = Sliders(handlers).arrange(work, "toy", "SeFa", "0-1", 3)
    reset = Sliders(handlers).reset(arranged["work"])
    assert reset["work"].edit == {}
    assert reset["edited"]["src"] == started(handlers)["edited"]["src"]
    assert [bar["value"] for bar in bars(reset)] == [0, 0, 0]


def test_other_layers_show_other_sliders_and_keep_the_picture(handlers):
    work = moved(handlers, started(handlers)["work"], 1.0)["work"]
    arranged = Sliders(handlers).arrange(work, "toy", "SeFa", "0-1", 3)
    assert [bar["value"] for bar in bars(arranged)] == [0, 0, 0]
    assert "SeFa/SeFa 1" in arranged["status"]["text"]
    both = moved(handlers, arranged["work"], 0.5)["work"]
    assert both.edit == {"SeFa/SeFa 1": 1.0, "SeFa@0-1/SeFa 1": 0.5}
    again = Sliders(handlers).arrange(both, "toy", *PANEL)
    assert bars(again)[0]["value"] == 1.0


def test_malformed_layers_are_explained(handlers):
    with pytest.raises(ConfigError, match="0-5"):
        Sliders(handlers).arrange(None, "toy", "SeFa", "9", 3)
    with pytest.raises(ConfigError, match="cannot read"):
        Sliders(handlers).arrange(None, "toy", "SeFa", "first", 3)


def test_every_preset_of_layers_can_be_chosen(handlers):
    offered = [value for _, value in presets(handlers.editor("toy"))]
    assert offered[0] == "all"
    assert len(offered) > 1
    for layers in offered:
        assert len(bars(Sliders(handlers).arrange(None, "toy", "SeFa", layers, 3))) == 3


def test_nothing_to_edit_is_said(handlers, keeping):
    with pytest.raises(ConfigError, match="nothing to edit"):
        moved(handlers, None, 1.0)
    with pytest.raises(ConfigError, match="no picture yet"):
        keeping.png(None)
    assert "nothing to reset" in Sliders(handlers).reset(None)["status"]["text"]


def test_two_visitors_do_not_see_each_other(handlers):
    first, second = started(handlers, 1), started(handlers, 2)
    first_moved = moved(handlers, first["work"], 2.0)
    second_moved = moved(handlers, second["work"], 2.0)
    assert first["work"].edit == {}
    assert first_moved["edited"] != second_moved["edited"]
    assert moved(handlers, first["work"], 2.0)["edited"] == first_moved["edited"]


def test_choosing_a_domain_sets_everything(handlers):
    chosen = arrived(handlers.choose("toy"))
    assert chosen["domain"] == "toy"
    assert chosen["photo"] is None
    assert chosen["upload"] is None
    assert not chosen["framing"].visible  # this domain takes every picture as it is
    assert [choice[0] for choice in chosen["source"].choices] == ["SeFa"]


# Photographs


def test_photograph_to_edit(handlers, page, photo):
    framed = page.detect(photo, "toy", "align")
    assert framed["work"] is None
    assert pixels(framed["original"]).shape == (64, 64, 3)
    assert framed["invert"].interactive
    updates = list(page.invert(framed["photo"], "steps", 4, *PANEL, session="s"))
    progress = [each["status"]["progress"] for each in updates if each["status"]["kind"] == "busy"]
    assert progress == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert any("inversion" in each for each in updates[1:-1])  # pictures on the way
    last = updates[-1]
    assert last["invert"].visible
    assert not last["stop"].visible
    assert last["work"].seed is None
    expected = handlers.editor("toy").generator.sample([5])
    assert np.abs((last["work"].latents - expected).numpy()).max() < 1e-5
    assert moved(handlers, last["work"], 1.0)["edited"] != last["edited"]
    assert page.stops == {}


def test_steps_are_passed_to_the_inverter(page, photo):
    assert inverted(page, photo, steps=7)[-2]["status"]["text"].startswith("Inverting: step 7 of 7")
    assert page.choose("toy", "steps")["steps"].value == 4
    assert not page.choose("toy", "mean")["steps"].visible


def test_stop_keeps_what_there_is(page, photo):
    framed = page.detect(photo, "toy", "align")
    run = page.invert(framed["photo"], "steps", 100, *PANEL, session="s")
    for _ in range(4):
        next(run)
    page.stop("another visitor")
    assert "step 3" in next(run)["status"]["text"]
    page.stop("s")
    last = list(run)[-1]
    assert last["status"]["text"].startswith("Stopped")
    assert last["work"] is not None
    assert last["invert"].visible


def test_a_failing_inverter_gives_the_button_back(handlers, page, photo, monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory in /secret/place")

    monkeypatch.setattr(Steps, "invert", fail)
    framed = page.detect(photo, "toy", "align")
    run = page.invert(framed["photo"], "steps", 4, *PANEL, session="s")
    assert not next(run)["invert"].visible
    assert next(run)["invert"].visible
    with pytest.raises(RuntimeError):
        next(run)


def test_others_edit_while_an_inversion_runs(handlers, page, photo):
    framed = page.detect(photo, "toy", "align")
    work = started(handlers)["work"]
    run = page.invert(framed["photo"], "steps", 50, *PANEL, session="s")
    next(run), next(run)
    edits = []
    thread = threading.Thread(target=lambda: edits.append(moved(handlers, work, 1.0)))
    thread.start()
    thread.join(timeout=20)
    assert edits  # the lock is free between two steps
    run.close()


def test_no_face_offers_the_centre_crop(handlers, page, photo):
    handlers.editor("toy").aligner = Heads(heads=0)
    framed = page.detect(photo, "toy", "align")
    assert framed["status"]["kind"] == "problem"
    assert "As it is" in framed["status"]["text"]
    assert not framed["invert"].interactive
    with pytest.raises(AlignmentError, match="Upload"):
        next(page.invert(framed["photo"], "steps", 4, *PANEL))
    centre = page.frame(framed["photo"], "toy", "center")
    assert centre["invert"].interactive
    wanted = photo.resize((64, 64), Image.Resampling.LANCZOS, box=(15, 0, 75, 60))
    assert np.abs(pixels(centre["original"]) - np.asarray(wanted, dtype=float)).mean() < 12


def test_one_of_several_faces_is_chosen(handlers, page, photo):
    handlers.editor("toy").aligner = Heads(heads=3)
    framed = page.detect(photo, "toy", "align")
    assert framed["faces"].visible
    assert "3 found" in framed["status"]["text"]
    second = page.pick(framed["photo"], "toy", index=1)
    assert second["original"] != framed["original"]
    assert second["framing"] == "align"
    handlers.editor("toy").aligner = Heads(heads=1)
    assert not page.detect(photo, "toy", "align")["faces"].visible


def test_a_photograph_of_another_domain_is_not_used(page, photo):
    framed = page.detect(photo, "toy", "align")
    with pytest.raises(AlignmentError, match="Upload"):
        page.frame(framed["photo"], "other", "align")


def test_only_uploads_are_read(page, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(photographs, "get_upload_folder", lambda: str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    photo.save(tmp_path / "uploads" / "a.png")
    photo.save(tmp_path / "b.png")
    assert page.receive({"path": str(tmp_path / "uploads" / "a.png")})["received"].size == photo.size
    outside = [
        tmp_path / "b.png",
        tmp_path / "uploads" / ".." / "b.png",
        "/etc/passwd",
        "",
        tmp_path / "uploads",
    ]
    for path in outside:
        with pytest.raises(PhotoError, match="did not arrive"):
            page.receive({"path": str(path)})
    with pytest.raises(PhotoError, match="did not arrive"):
        page.receive(None)
    (tmp_path / "uploads" / "c.png").write_bytes(b"not a picture")
    with pytest.raises(PhotoError):
        page.receive({"path": str(tmp_path / "uploads" / "c.png")})


# Errors


@pytest.mark.parametrize(
    "said",
    [
        None,
        "1",
        [1.0],
        {},
        {"values": [1.0]},
        {"values": {"SeFa/SeFa 1": "1"}},
        {"values": {"SeFa/SeFa 1": True}},
        {"values": {"SeFa/SeFa 1": None}},
        {"values": {"SeFa/SeFa 1": float("nan")}},
        {"values": {"SeFa/SeFa 1": float("inf")}},
        {"values": {"SeFa/SeFa 1": 10**400}},
        {"values": {str(number): 0.0 for number in range(100)}},
    ],
)
def test_what_is_no_slider_value_is_refused(handlers, said):
    with pytest.raises(ConfigError, match=r"slider"):
        Sliders(handlers).drag(started(handlers)["work"], said)


def test_a_value_outside_the_range_is_clamped_and_said(handlers):
    shown = started(handlers)
    told = {"values": {"SeFa/SeFa 1": 99, "SeFa/SeFa 2": -0.5, "Nobody/Nothing": 3}, "held": "yes"}
    update = Sliders(handlers).drag(shown["work"], told)
    assert update["work"].edit == {"SeFa/SeFa 1": bars(shown)[0]["high"], "SeFa/SeFa 2": -0.5}
    assert update["status"]["kind"] == "problem"
    assert "SeFa 1 goes from" in update["status"]["text"]
    assert "Nobody" not in update["status"]["text"]
    assert pixels(update["edited"]).shape == (64, 64, 3)  # only `true` asks for a preview
    assert "status" not in moved(handlers, shown["work"], 1.0)


def test_sessions_are_forgotten_in_the_end(handlers):
    recent = Recent(most=2)
    for session in ("a", "b", "a", "c"):
        recent[session] = session.upper()
    assert [recent.get(session) for session in "abc"] == ["A", None, "C"]
    recent.pop("a")
    recent.pop("nobody")
    assert recent.get("a") is None
    assert handlers.choices.most == handlers.panels.most == 1000


def test_errors_become_words_without_paths():
    for error in (ConfigError("x"), AlignmentError("x"), LinkError("x"), ShareError("x"), PhotoError("x")):
        assert wiring.problem(error)["status"]["text"] == "X"
    shown = wiring.problem(WeightsError("the weights are missing", "in /home/someone"))["status"]
    assert shown == {"text": "The weights are missing", "kind": "problem", "progress": None}
    assert "/secret" not in wiring.problem(RuntimeError("/secret/place"))["status"]["text"]
