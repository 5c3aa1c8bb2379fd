"""The page's handlers, without a server: widget values in, widget values out."""

import base64
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image

from backends import Images
from backends.aligners import Aligner, AlignmentError, Subject
from backends.generators import Generator
from backends.inverters import Inversion, Inverter
from backends.photos import PhotoError
from backends.weights import Status, WeightsError
from latents import LatentsError
from plugins import ConfigError
from sharing import ShareError, ShareStore
from ui import fetching, photographs, wiring
from ui.handlers import Handlers
from ui.keeping import Keeping
from ui.links import LinkError, Panel, SeedLink, address, read_seed_link, seed_query
from ui.photographs import Photographs
from ui.widgets import POOL, presets

CONFIGS = Path(__file__).parent / "configs"
PANEL = ("SeFa", "all", 6)


@dataclass
class Steps(Inverter):
    """Walks from the mean to a sample."""

    steps: int = 4

    def invert(self, images: Images, generator: Generator) -> Iterator[Inversion]:
        goal = generator.sample([5])
        for step in range(self.steps + 1):
            latents = generator.mean() + (goal - generator.mean()) * step / self.steps
            yield Inversion(latents, generator, step, self.steps)


@dataclass
class Heads(Aligner):
    """Finds as many heads as it is told."""

    heads: int = 2

    def detect(self, photo: Image.Image) -> list[Subject]:
        return [Subject((10 * place, 0, 10 * place + 20, 20)) for place in range(self.heads)]

    def crop(self, photo: Image.Image, subject: Subject, size: int) -> Image.Image:
        return photo.resize((size, size), box=subject.box)


@pytest.fixture
def handlers():
    handlers = Handlers(CONFIGS)
    handlers.editor("toy").inverters["steps"] = Steps()
    return handlers


@pytest.fixture
def page(handlers):
    return Photographs(handlers)


@pytest.fixture
def keeping(handlers, tmp_path):
    return Keeping(handlers, ShareStore(tmp_path / "shares"))


@pytest.fixture
def photo():
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    return Image.fromarray(pixels)


def pixels(value):
    """What a figure shows."""
    data = base64.b64decode(value["src"].removeprefix("data:image/jpeg;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)), dtype=float)


def started(handlers, seed=3):
    return handlers.sample("toy", seed, *PANEL)


def arrived(updates):
    """What the page shows in the end."""
    shown = {}
    for update in updates:
        shown |= update
    return shown


def moved(handlers, work, *values, preview=False):
    return handlers.drag(work, preview, *values, *[0] * (POOL - len(values)))


def inverted(page, photo, steps=4):
    framed = page.detect(photo, "toy", "align")
    return list(page.invert(framed["photo"], "steps", steps, *PANEL, session="s"))


# Samples and sliders


def test_a_sample_shows_a_picture_and_its_sliders(handlers):
    shown = started(handlers)
    assert pixels(shown["edited"]).shape == (64, 64, 3)
    assert shown["edited"] == shown["inversion"]
    assert shown["original"]["src"] == ""
    visible = [place for place in range(POOL) if shown[f"slider{place}"].visible]
    assert visible == list(range(6))
    assert shown["slider0"].label == "SeFa 1"
    assert shown["slider0"].minimum < 0 < shown["slider0"].maximum


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
    arranged = handlers.arrange(work, "toy", "SeFa", "0-1", 3)
    reset = handlers.reset(arranged["work"])
    assert reset["work"].edit == {}
    assert reset["edited"]["src"] == started(handlers)["edited"]["src"]
    assert reset["slider0"].value == 0


def test_other_layers_show_other_sliders_and_keep_the_picture(handlers):
    work = moved(handlers, started(handlers)["work"], 1.0)["work"]
    arranged = handlers.arrange(work, "toy", "SeFa", "0-1", 3)
    assert [arranged[f"slider{place}"].visible for place in range(5)] == [True, True, True, False, False]
    assert arranged["slider0"].value == 0
    assert "SeFa/SeFa 1" in arranged["status"]["text"]
    both = moved(handlers, arranged["work"], 0.5)["work"]
    assert both.edit == {"SeFa/SeFa 1": 1.0, "SeFa@0-1/SeFa 1": 0.5}
    again = handlers.arrange(both, "toy", *PANEL)
    assert again["slider0"].value == 1.0


def test_malformed_layers_are_explained(handlers):
    with pytest.raises(ConfigError, match="0-5"):
        handlers.arrange(None, "toy", "SeFa", "9", 3)
    with pytest.raises(ConfigError, match="cannot read"):
        handlers.arrange(None, "toy", "SeFa", "first", 3)


def test_every_preset_of_layers_can_be_chosen(handlers):
    offered = [value for _, value in presets(handlers.editor("toy"))]
    assert offered[0] == "all"
    assert len(offered) > 1
    for layers in offered:
        assert handlers.arrange(None, "toy", "SeFa", layers, 3)["slider0"].visible


def test_nothing_to_edit_is_said(handlers, keeping):
    with pytest.raises(ConfigError, match="nothing to edit"):
        moved(handlers, None, 1.0)
    with pytest.raises(ConfigError, match="no picture yet"):
        keeping.png(None)
    assert "nothing to reset" in handlers.reset(None)["status"]["text"]


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


# Keeping


def test_png_is_the_picture_in_full(handlers, keeping):
    work = moved(handlers, started(handlers)["work"], 1.0)["work"]
    file = keeping.png(work)["download"]
    assert file["name"] == "toy-3-edited.png"
    image = Image.open(io.BytesIO(base64.b64decode(file["data"])))
    assert image.format == "PNG"
    assert np.array_equal(
        np.asarray(image),
        np.asarray(handlers.editor("toy").render(work.inversion(handlers.editor("toy")), work.edit)),
    )


def test_npz_opens_with_numpy_and_here(handlers, keeping, tmp_path):
    work = moved(handlers, started(handlers)["work"], 1.0)["work"]
    path = tmp_path / "latent.npz"
    path.write_bytes(base64.b64decode(keeping.npz(work)["download"]["data"]))
    with np.load(path, allow_pickle=False) as file:
        assert file["latents"].shape == (2, 6, 16)
        assert list(file["names"]) == ["edited", "inverted"]
    opened = keeping.open_file(str(path), "toy")
    assert np.array_equal(opened["work"].latents.numpy(), work.latents.numpy())
    assert opened["status"]["kind"] == "done"


def test_a_file_that_holds_no_latents_is_explained(keeping, tmp_path):
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"nonsense")
    with pytest.raises(LatentsError):
        keeping.open_file(str(bad), "toy")
    np.savez(bad, latents=np.zeros((1, 3, 7)))
    with pytest.raises(LatentsError, match="16"):
        keeping.open_file(str(bad), "toy")


HEADERS = {"referer": "https://example.org/page/?__theme=dark#top", "host": "inner:7860"}


def query(update):
    return "?" + urlsplit(update["link"].value).query


def test_a_seed_is_shared_without_any_record(handlers, keeping):
    work = moved(handlers, started(handlers)["work"], 1.5, 0, -1.0)["work"]
    shared = keeping.share(work, 90, {}, HEADERS)
    assert shared["link"].value.startswith("https://example.org/page/?domain=toy&seed=3")
    assert not keeping.store.directory.exists()
    opened = arrived(keeping.open(query(shared), {}))
    assert opened["work"].edit == work.edit
    assert opened["slider0"].value == 1.5
    assert opened["slider2"].value == -1.0
    assert opened["edited"]["src"] == moved(handlers, work, 1.5, 0, -1.0)["edited"]["src"]


def test_a_photograph_is_shared_by_a_record_and_deleted_by_its_owner(handlers, page, keeping, photo):
    work = inverted(page, photo)[-1]["work"]
    work = handlers.arrange(work, "toy", "SeFa", "0-2", 4)["work"]
    edited = moved(handlers, work, 2.0)
    shared = keeping.share(edited["work"], 7, {"old": "token"}, HEADERS)
    assert set(shared["tokens"]) == {"old", shared["work"].shared}
    again = Keeping(Handlers(CONFIGS), ShareStore(keeping.store.directory))  # as after a restart
    opened = arrived(again.open(query(shared), {}))
    assert opened["work"].edit == {"SeFa@0-2/SeFa 1": 2.0}
    assert opened["layers"].value == "0-2"
    assert opened["count"] == 4
    assert opened["slider0"].value == 2.0
    assert opened["original"]["src"] == ""  # the photograph was never stored
    difference = pixels(opened["edited"]) - pixels(edited["edited"])
    assert 10 * np.log10(255**2 / np.mean(difference**2).clip(1e-9)) > 40
    assert not opened["delete"].visible
    with pytest.raises(ShareError, match="Only the browser"):
        again.delete(opened["work"], {})
    assert arrived(again.open(query(shared), shared["tokens"]))["delete"].visible
    gone = again.delete(opened["work"], shared["tokens"])
    assert gone["tokens"] == {"old": "token"}
    missing = arrived(keeping.open(query(shared), {}))
    assert missing["status"]["kind"] == "problem"
    assert "deleted" in missing["status"]["text"]
    assert missing["edited"]["src"]  # a sample instead


def test_links_of_another_model_version_say_so_and_show_what_they_can(
    handlers, page, keeping, photo, monkeypatch
):
    work = moved(handlers, inverted(page, photo)[-1]["work"], 2.0)["work"]
    shared = keeping.share(work, 7, {}, HEADERS)
    toy = type(handlers.editor("toy").generator)
    monkeypatch.setattr(toy, "fingerprint", property(lambda _: "0" * 64))
    opened = arrived(keeping.open(query(shared), {}))
    assert "another version" in opened["status"]["text"]
    assert opened["slider0"].value == 2.0
    monkeypatch.undo()
    other = Keeping(Handlers(CONFIGS), keeping.store)
    other.handlers.editor("toy").generator.dim = 8
    assert "another model" in arrived(other.open(query(shared), {}))["status"]["text"]


STRANGE = {
    "?domain=toy&seed=3&edit=Nobody/Nothing=2&edit=SeFa/SeFa%201=1": "Nobody/Nothing",
    "?domain=toy&seed=3&layers=77": "layers do not exist",
    "?domain=mars&seed=3": "“mars”",
    "?domain=toy&seed=x": "seed",
    "?domain=toy&seed=99999999999": "seed",
    "?domain=toy&seed=3&count=many": "number of sliders",
    "?domain=toy&seed=3&edit=SeFa/SeFa%201=nan": "not a number",
    "?domain=toy&seed=3&edit==2": "no name",
    "?share=../../etc/passwd": "does not exist",
    "?share=" + "a" * 22: "does not exist",
}


@pytest.mark.parametrize("link", STRANGE)
def test_a_strange_link_is_explained_and_something_is_shown(keeping, link):
    opened = arrived(keeping.open(link, {}))
    assert STRANGE[link] in opened["status"]["text"]
    assert opened["status"]["kind"] == "problem"
    assert opened["edited"]["src"]


def test_values_of_a_link_stay_within_the_sliders(keeping):
    opened = arrived(keeping.open("?domain=toy&seed=3&edit=SeFa/SeFa%201=1e9", {}))
    assert opened["slider0"].value == opened["slider0"].maximum
    assert opened["work"].edit["SeFa/SeFa 1"] == pytest.approx(opened["slider0"].maximum, abs=1e-3)


def test_no_link_opens_the_first_sample(keeping):
    assert arrived(keeping.open("", {}))["work"].seed == 1
    assert arrived(keeping.open("?domain=toy", {}))["work"].seed == 1
    assert arrived(keeping.open("?domain=nothing&__theme=dark", {}))["work"].seed == 1


def test_seed_links_come_back_as_they_went():
    link = SeedLink(
        "faces", 2**32 - 1, {"SeFa@0-2,5/SeFa 1": -2.5, "SVM/smile & é=x": 1.0}, Panel("SeFa", "0-2,5", 7)
    )
    assert read_seed_link(parse_qs(seed_query(link).removeprefix("?"))) == link
    with pytest.raises(LinkError, match="Too many"):
        seed_query(SeedLink("faces", 1, {f"direction {place}": 1.0 for place in range(65)}))


def test_addresses(monkeypatch):
    assert address("?a=1", HEADERS) == "https://example.org/page/?a=1"
    assert (
        address("?a=1", {"referer": "javascript:alert(1)", "host": "localhost:7860"})
        == "http://localhost:7860/?a=1"
    )
    monkeypatch.setenv("SPACE_HOST", "someone-sliders.hf.space")
    assert address("?a=1", HEADERS) == "https://someone-sliders.hf.space/?a=1"


# Errors


def test_errors_become_words_without_paths():
    for error in (ConfigError("x"), AlignmentError("x"), LinkError("x"), ShareError("x"), PhotoError("x")):
        assert wiring.problem(error)["status"]["text"] == "X"
    shown = wiring.problem(WeightsError("the weights are missing", "in /home/someone"))["status"]
    assert shown == {"text": "The weights are missing", "kind": "problem", "progress": None}
    assert "/secret" not in wiring.problem(RuntimeError("/secret/place"))["status"]["text"]


def test_missing_weights_are_announced_with_size_and_licence(handlers, monkeypatch):
    editor = handlers.editor("toy")
    entry = Status("big", "a network", "CC BY 4.0", "elsewhere", False, 5, 120_000_000, "")
    asked = []
    monkeypatch.setattr(fetching, "missing", lambda _: [entry])
    monkeypatch.setattr(fetching.weights, "fetch", asked.append)
    lines = [update["status"] for update in fetching.fetched(editor)]
    assert asked == ["big"]
    assert "a network (CC BY 4.0)" in lines[0]["text"]
    assert "of 120 MB" in lines[0]["text"]

    def fail(_):
        raise WeightsError("no network here")

    monkeypatch.setattr(fetching.weights, "fetch", fail)
    with pytest.raises(WeightsError, match="no network here"):
        list(fetching.fetched(editor))


def test_a_domain_asks_for_the_weights_that_its_generator_names(monkeypatch):
    from editor import Editor

    editor = Editor.load("faces")
    name = editor.generator.weights
    listed = [Status(each, each, "", "", False, 1, 1, "") for each in (name, "something_else")]
    monkeypatch.setattr(fetching.weights, "status", lambda: listed)
    assert [entry.name for entry in fetching.missing(editor)] == [name]
