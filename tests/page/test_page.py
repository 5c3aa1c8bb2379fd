"""The page's handlers, without a server: widget values in, widget values out."""

import pickle
import threading
import time

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from visiting import Desk, Heads, Steps, arrived, bars, inverted, moved, pixels, png, started, uploaded

from backends.aligners import AlignmentError
from backends.photos import PhotoError
from backends.weights import WeightsError
from config import ConfigError
from sharing import ShareError, ShareStore
from ui import events, photograph
from ui.links import LinkError
from ui.page import Page
from ui.state import AWAY, Panel, Photo, Visit, Visits
from ui.views import presets
from ui.widgets import Update

# Samples and sliders


def test_a_sample_shows_a_picture_and_its_sliders(page, visit):
    shown = started(page, visit)
    assert pixels(shown["edited"]).shape == (64, 64, 3)
    assert shown["edited"] == shown["inversion"]
    assert shown["original"]["src"] == ""
    assert [bar["label"] for bar in bars(shown)] == [f"SeFa {number}" for number in range(1, 7)]
    assert all(bar["low"] < 0 < bar["high"] and bar["value"] == 0 for bar in bars(shown))


def test_the_same_seed_shows_the_same_picture(page, visit):
    assert started(page, visit)["edited"] == started(page, visit)["edited"]
    assert started(page, visit, 4)["edited"] != started(page, visit)["edited"]


@pytest.mark.parametrize("seed", [None, -1, -5, 2**32, 1.5, float("nan"), 10**400, "7"])
def test_a_seed_that_is_none_is_refused(page, visit, seed):
    with pytest.raises(ConfigError, match="whole number"):
        page.domain.sample(visit, seed)


@pytest.mark.parametrize("seed", [-5, 1e300, 3.0, None])
def test_every_seed_that_is_typed_reaches_the_handler(tmp_path, seed):
    """Gradio's own words for a number outside the limits of a widget are no plain message."""
    assert Page(ShareStore(tmp_path)).widgets.seed.preprocess(seed) == seed


def test_random_and_thumbnails(page, visit):
    page.domain.random(visit)
    first = visit.work.seed
    page.domain.random(visit)
    assert visit.work.seed != first
    assert len(page.domain.samples(visit)["samples"].value) == 4
    page.domain.pick(visit, index=2)
    assert visit.work.seed == page.models.domains["toy"].seeds[2]


@pytest.mark.parametrize("index", [None, -1, 4, 10**9, "1", [0, 1], 1.0])
def test_a_thumbnail_that_is_not_there_cannot_be_picked(page, visit, photo, index):
    page.models.editor("toy").aligner = Heads(heads=4)
    uploaded(page, visit, photo)
    for pick in (page.domain.pick, page.photograph.pick):
        with pytest.raises(ConfigError, match="that are shown"):
            pick(visit, index=index)


def test_a_slider_changes_the_picture_and_zero_brings_it_back(page, visit):
    shown = started(page, visit)
    far = moved(page, visit, 2.0)
    assert np.abs(pixels(far["edited"]) - pixels(shown["edited"])).mean() > 3
    back = moved(page, visit, 0.0)
    assert back["edited"]["src"] == shown["edited"]["src"]
    assert visit.work.edit == {}


def test_a_preview_is_smaller_and_of_the_same_edit(page, visit):
    started(page, visit)
    edits = []
    full = moved(page, visit, 1.0)
    edits.append(visit.work.edit)
    preview = moved(page, visit, 1.0, preview=True)
    edits.append(visit.work.edit)
    small = pixels(preview["edited"])
    assert small.shape == (32, 32, 3)
    assert np.abs(small - pixels(full["edited"]).reshape(32, 2, 32, 2, 3).mean((1, 3))).mean() < 6
    assert edits == [{"SeFa/SeFa 1": 1.0}] * 2


def test_reset_clears_all_sliders_also_hidden_ones(page, visit):
    first = started(page, visit)
    moved(page, visit, 1.0, -1.0)
    page.sliders.arrange(visit, "SeFa", "0-1", 3)
    reset = page.sliders.reset(visit)
    assert visit.work.edit == {}
    assert reset["edited"]["src"] == first["edited"]["src"]
    assert [bar["value"] for bar in bars(reset)] == [0, 0, 0]


def test_other_layers_show_other_sliders_and_keep_the_picture(page, visit):
    started(page, visit)
    moved(page, visit, 1.0)
    arranged = page.sliders.arrange(visit, "SeFa", "0-1", 3)
    assert "edited" not in arranged
    assert [bar["value"] for bar in bars(arranged)] == [0, 0, 0]
    assert "SeFa/SeFa 1" in arranged["status"]["text"]
    moved(page, visit, 0.5)
    assert visit.work.edit == {"SeFa/SeFa 1": 1.0, "SeFa@0-1/SeFa 1": 0.5}
    again = page.sliders.arrange(visit, "SeFa", "all", 6)
    assert bars(again)[0]["value"] == 1.0


@pytest.mark.parametrize(
    ("layers", "words"), [("9", "0-5"), ("first", "cannot read"), ("0," * 500_000, "100 characters")]
)
def test_malformed_layers_are_explained_and_change_nothing(page, visit, layers, words):
    before = visit.panel
    with pytest.raises(ConfigError, match=words):
        page.sliders.arrange(visit, "SeFa", layers, 3)
    assert visit.panel is before


def test_every_preset_of_layers_can_be_chosen(page, visit):
    offered = [value for _, value in presets(page.models.editor("toy"))]
    assert offered[0] == "all"
    assert len(offered) > 1
    for layers in offered:
        assert len(bars(page.sliders.arrange(visit, "SeFa", layers, 3))) == 3


def test_nothing_to_edit_is_said(page, visit):
    with pytest.raises(ConfigError, match="nothing to edit"):
        moved(page, visit, 1.0)
    with pytest.raises(ConfigError, match="no picture yet"):
        page.saving.picture(visit)
    assert "nothing to reset" in page.sliders.reset(visit)["status"]["text"]


def test_two_visitors_do_not_see_each_other(page):
    first, second = (Visit("toy", "toy", page.models.panel("toy", Panel(count=6))) for _ in range(2))
    started(page, first, 1), started(page, second, 2)
    first_moved = moved(page, first, 2.0)
    assert second.work.edit == {}
    assert moved(page, second, 2.0)["edited"] != first_moved["edited"]
    assert moved(page, first, 2.0)["edited"] == first_moved["edited"]


def test_choosing_a_domain_sets_everything(page, visit, photo):
    uploaded(page, visit, photo)
    visit.domain = visit.choice = "other"
    chosen = arrived(page.domain.choose(visit, "toy"))
    assert chosen["domain"].value == visit.domain == "toy"
    assert visit.photo is None
    assert chosen["upload"] is None
    assert not chosen["framing"].visible  # this domain takes every picture as it is
    assert [choice[0] for choice in chosen["source"].choices] == ["SeFa"]
    with pytest.raises(AlignmentError, match="Upload"):
        page.photograph.frame(visit, "align")  # the photograph of another domain


def test_a_domain_that_looks_for_faces_offers_to_align(page):
    page.models.editor("toy").aligner = Heads()
    shown = arrived(page.saving.open(Visit(), "?domain=toy&seed=1", {}))
    assert shown["framing"].visible
    assert shown["framing"].value == "align"


# A drag goes around the queue


def test_one_drag_at_a_time_of_each_visitor(page, visit):
    """Others are not answered: threads that wait for the lock would be missing elsewhere."""
    started(page, visit)
    answers = []
    drags = [
        threading.Thread(
            target=lambda: answers.append(page.sliders.drag(visit, {"values": {"SeFa/SeFa 1": 1.0}}))
        )
        for _ in range(4)
    ]
    with page.models.lock:  # somebody else computes
        for drag in drags:
            drag.start()
        for _ in range(200):
            if sum(drag.is_alive() for drag in drags) == 1:
                break
            time.sleep(0.05)
        assert sum(drag.is_alive() for drag in drags) == 1
        assert answers == [{}] * 3
    for drag in drags:
        drag.join()
    assert "edited" in answers[-1]
    assert "edited" in moved(page, visit, 3.0)  # the next one is


# What is remembered


def test_visits_are_bounded_and_forget():
    now = [0.0]
    visits = Visits(most=2, life=10, room=250, now=lambda: now[0])
    first, second = visits.get("a"), visits.get("b")
    assert visits.get("a") is first
    visits.get("c")
    assert visits.get("b") is not second  # it was not used for longest
    assert second.stop.is_set()
    assert len(visits) == 2
    kept = visits.get("b")
    kept.photo, kept.domain = Photo(b"x" * 100), "toy"
    now[0] = 11
    visits.get("c")
    visits.expire()
    assert (kept.photo, kept.work, kept.domain) == (None, None, "toy")
    for name in ("b", "c"):
        visits.get(name).photo = Photo(b"x" * 100, crop=Image.new("RGB", (4, 4)))
    visits.expire()
    assert visits.get("b").photo is None  # there is room for one
    assert visits.get("c").photo is not None
    visits.leave("nobody")


def test_a_closed_window_is_forgotten_sooner_unless_it_comes_back():
    now = [0.0]
    visits = Visits(now=lambda: now[0])
    visit = visits.get("a")
    for seconds, there in ((AWAY - 1, True), (AWAY + 1, False)):
        visit.photo, visit.domain, visit.choice, visit.closed = Photo(b"x"), "toy", "another", False
        visit.stop.clear()
        visits.leave("a")
        assert visit.stop.is_set()
        assert visit.choice == "toy"  # what was on its way is not shown any more
        now[0] += seconds
        visits.expire()
        assert (visit.photo is not None) == there
        assert visits.get("a") is visit
        assert not visit.closed


def test_who_has_no_name_shares_nothing():
    visits = Visits()
    assert visits.get("") is not visits.get("")


def test_a_visit_that_was_forgotten_says_so(page):
    with pytest.raises(ConfigError, match="load it again"):
        page.domain.random(Visit())


def test_a_photograph_takes_no_more_memory_than_its_file(page, visit):
    """A few kilobytes may be a picture of 50 MB."""
    large = Image.new("RGB", (2000, 2000))
    uploaded(page, visit, large)
    assert visit.photo.size < 50_000
    assert len(pickle.dumps(visit.photo)) < 50_000
    assert visit.photo.image.size == large.size


# Photographs


def test_photograph_to_edit(page, visit, photo):
    started(page, visit)
    framed = uploaded(page, visit, photo)
    assert visit.work is None
    assert pixels(framed["original"]).shape == (64, 64, 3)
    assert framed["invert"].interactive
    updates = list(page.photograph.invert(visit, "steps", 4))
    progress = [each["status"]["progress"] for each in updates if each["status"]["kind"] == "busy"]
    assert progress == [0.0, 0.0, 0.25, 0.5, 0.75, 1.0]
    assert any("inversion" in each for each in updates[1:-1])  # pictures on the way
    last = updates[-1]
    assert last["invert"].visible
    assert not last["stop"].visible
    assert visit.work.seed is None
    expected = page.models.editor("toy").generator.sample([5])
    assert np.abs((visit.work.latents - expected).numpy()).max() < 1e-5
    assert moved(page, visit, 1.0)["edited"] != last["edited"]


def test_steps_are_passed_to_the_inverter(page, visit, photo):
    said = [each["status"]["text"] for each in inverted(page, visit, photo, steps=7)]
    assert said[-2].startswith("Inverting: step 7 of 7")
    assert page.photograph.choose(visit, "steps")["steps"].value == 4
    assert not page.photograph.choose(visit, "mean")["steps"].visible


def test_stop_keeps_what_there_is(page, visit, photo):
    uploaded(page, visit, photo)
    run = page.photograph.invert(visit, "steps", 100)
    for _ in range(4):
        next(run)
    page.photograph.stop(Visit("toy"))  # another visitor
    assert "step 3" in next(run)["status"]["text"]
    page.photograph.stop(visit)
    last = list(run)[-1]
    assert last["status"]["text"].startswith("Stopped")
    assert visit.work is not None
    assert last["invert"].visible


@pytest.mark.parametrize("again", [True, False])
def test_an_inversion_ends_when_its_photograph_is_gone(page, visit, photo, again):
    uploaded(page, visit, photo)
    run = page.photograph.invert(visit, "steps", 100)
    next(run), next(run)
    if again:
        uploaded(page, visit, photo.rotate(90))
    else:
        visit.forget()
    left = list(run)
    assert [list(update) for update in left] == [["invert", "stop"]]
    assert left[0]["invert"].visible
    assert visit.work is None


def test_a_failing_inverter_gives_the_button_back(page, visit, photo, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no memory in /secret/place")

    monkeypatch.setattr(Steps, "invert", fail)
    uploaded(page, visit, photo)
    run = page.photograph.invert(visit, "steps", 4)
    assert not next(run)["invert"].visible
    assert next(run)["invert"].visible
    with pytest.raises(RuntimeError):
        next(run)


def test_others_edit_while_an_inversion_runs(page, visit, photo):
    uploaded(page, visit, photo)
    other = Visit("toy", "toy", page.models.panel("toy"))
    started(page, other)
    run = page.photograph.invert(visit, "steps", 50)
    next(run), next(run)
    edits = []
    thread = threading.Thread(target=lambda: edits.append(moved(page, other, 1.0)))
    thread.start()
    thread.join(timeout=20)
    assert edits  # the lock is free between two steps
    run.close()


def test_no_face_offers_the_centre_crop(page, visit, photo):
    page.models.editor("toy").aligner = Heads(heads=0)
    framed = uploaded(page, visit, photo)
    assert framed["status"]["kind"] == "problem"
    assert "As it is" in framed["status"]["text"]
    assert not framed["invert"].interactive
    with pytest.raises(AlignmentError, match="Upload"):
        next(page.photograph.invert(visit, "steps", 4))
    centre = page.photograph.frame(visit, "hand")
    assert centre["invert"].interactive
    wanted = photo.resize((64, 64), Image.Resampling.LANCZOS, box=(15, 0, 75, 60))
    assert np.abs(pixels(centre["original"]) - np.asarray(wanted, dtype=float)).mean() < 12


def test_one_of_several_faces_is_chosen(page, visit, photo):
    page.models.editor("toy").aligner = Heads(heads=3)
    framed = uploaded(page, visit, photo)
    assert framed["faces"].visible
    assert "3 found" in framed["status"]["text"]
    second = page.photograph.pick(visit, index=1)
    assert second["original"] != framed["original"]
    assert second["framing"] == "align"
    page.models.editor("toy").aligner = Heads(heads=1)
    assert not uploaded(page, visit, photo)["faces"].visible


def test_only_uploads_are_read(page, visit, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(photograph, "get_upload_folder", lambda: str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    for place in ("uploads/a.png", "b.png"):
        (tmp_path / place).write_bytes(png(photo))

    def received(path):
        return arrived(page.photograph.receive(visit, {"path": str(path)}, "align"))

    assert received(tmp_path / "uploads" / "a.png")["original"]["src"]
    assert visit.photo.image.size == photo.size
    outside = [
        tmp_path / "b.png",
        tmp_path / "uploads" / ".." / "b.png",
        "/etc/passwd",
        "",
        tmp_path / "uploads",
    ]
    for path in outside:
        with pytest.raises(PhotoError, match="did not arrive"):
            received(path)
    with pytest.raises(PhotoError, match="did not arrive"):
        next(page.photograph.receive(visit, None, "align"))
    (tmp_path / "uploads" / "c.png").write_bytes(b"not a picture")
    with pytest.raises(PhotoError):
        received(tmp_path / "uploads" / "c.png")


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
def test_what_is_no_slider_value_is_refused(page, visit, said):
    started(page, visit)
    with pytest.raises(ConfigError, match=r"slider"):
        page.sliders.drag(visit, said)
    assert "edited" in moved(page, visit, 1.0)


def test_a_value_outside_the_range_is_clamped_and_said(page, visit):
    shown = started(page, visit)
    told = {"values": {"SeFa/SeFa 1": 99, "SeFa/SeFa 2": -0.5, "Nobody/Nothing": 3}, "held": "yes"}
    update = page.sliders.drag(visit, told)
    assert visit.work.edit == {"SeFa/SeFa 1": bars(shown)[0]["high"], "SeFa/SeFa 2": -0.5}
    assert update["status"]["kind"] == "problem"
    assert "SeFa 1 goes from" in update["status"]["text"]
    assert "Nobody" not in update["status"]["text"]
    assert pixels(update["edited"]).shape == (64, 64, 3)  # only `true` asks for a preview
    assert "status" not in moved(page, visit, 1.0)


def test_errors_become_words_without_paths():
    for error in (ConfigError("x"), AlignmentError("x"), LinkError("x"), ShareError("x"), PhotoError("x")):
        assert events.problem(error)["status"]["text"] == "X"
    shown = events.problem(WeightsError("the weights are missing", "in /home/someone"))["status"]
    assert shown == {"text": "The weights are missing", "kind": "problem", "progress": None}
    assert "/secret" not in events.problem(RuntimeError("/secret/place"))["status"]["text"]


# Wiring


def test_every_update_has_its_widget(tmp_path):
    widgets = Page(ShareStore(tmp_path)).widgets
    assert all(isinstance(each, gr.blocks.Block) for each in widgets.outputs)
    assert len(widgets.outputs) == len(Update.__annotations__)


def test_what_is_accelerated_gets_and_gives_plain_values(visit, photo, tmp_path, monkeypatch):
    """As in another process, which has neither the lock nor the visit; `stop` is never there."""
    asked = []

    def elsewhere(call, *values):
        """Waits for ever on a lock that the caller holds, as a copy of this process would."""
        found = []
        thread = threading.Thread(target=lambda: found.append(call(*values)), daemon=True)
        thread.start()
        thread.join(timeout=20)
        assert found, "it waits for the lock"
        return found[0]

    def accelerated(function):
        def one(*values, **options):
            asked.append(function.__name__)
            values, options = pickle.loads(pickle.dumps((values, options)))
            result = elsewhere(lambda: function(*values, **options))
            return steps(result) if hasattr(result, "__next__") else pickle.loads(pickle.dumps(result))

        def steps(run):
            while (step := elsewhere(next, run, None)) is not None:
                yield pickle.loads(pickle.dumps(step))

        return one

    monkeypatch.setattr("ui.models.accelerated", accelerated)
    page = Desk(ShareStore(tmp_path))
    page.models.editor("toy").inverters["steps"] = Steps()
    started(page, visit)
    page.domain.samples(visit)
    assert inverted(page, visit, photo)[-1]["status"]["text"].startswith("Inverted")
    page.photograph.stop(visit)
    moved(page, visit, 1.0)
    page.saving.npz(visit)
    assert set(asked) == {"_generate", "_render", "_detect", "_invert", "_edited", "_paste"}
