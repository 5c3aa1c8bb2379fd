"""Files and links of the page, without a server."""

import base64
import io
from importlib import import_module

import numpy as np
import pytest
from PIL import Image
from visiting import HEADERS, Desk, Steps, arrived, bars, inverted, moved, pixels, query, started

from backends.decoders import Decoder
from backends.inverters import Inversion
from latents import LatentsError
from plugins import find, names
from sharing import ShareError, ShareStore
from ui.links import LinkError, SeedLink, address, parsed, read_seed_link, seed_query
from ui.state import Panel, Visit
from ui.widgets import CROP

# Files


def opened(page, link, tokens=None):
    """A new window with this link: its visit, and what it shows."""
    visit = Visit()
    return visit, arrived(page.saving.open(visit, link, tokens or {}))


def test_png_is_the_picture_in_full(page, visit):
    started(page, visit)
    moved(page, visit, 1.0)
    file = page.saving.picture(visit)["download"]
    assert file["name"] == "toy-3-edited.png"
    image = Image.open(io.BytesIO(base64.b64decode(file["data"])))
    assert image.format == "PNG"
    editor = page.models.editor("toy")
    wanted = editor.render(visit.work.inversion(editor), visit.work.edit)
    assert np.array_equal(np.asarray(image), np.asarray(wanted))


def test_npz_opens_with_numpy_and_here(page, visit, tmp_path):
    started(page, visit)
    moved(page, visit, 1.0)
    path = tmp_path / "latent.npz"
    path.write_bytes(base64.b64decode(page.saving.npz(visit)["download"]["data"]))
    with np.load(path, allow_pickle=False) as file:
        assert file["latents"].shape == (2, 6, 16)
        assert list(file["names"]) == ["edited", "inverted"]
    other = Visit("toy", "toy")
    shown = page.saving.open_file(other, str(path))
    assert np.array_equal(other.work.latents.numpy(), visit.work.latents.numpy())
    assert shown["status"]["kind"] == "done"


def test_a_file_that_holds_no_latents_is_explained(page, visit, tmp_path):
    started(page, visit)
    before = visit.work
    bad = tmp_path / "bad.npz"
    bad.write_bytes(b"nonsense")
    with pytest.raises(LatentsError):
        page.saving.open_file(visit, str(bad))
    np.savez(bad, latents=np.zeros((1, 3, 7)))
    with pytest.raises(LatentsError, match="16"):
        page.saving.open_file(visit, str(bad))
    assert visit.work is before


# Links


def test_a_seed_is_shared_without_any_record(page, visit):
    started(page, visit)
    edited = moved(page, visit, 1.5, 0, -1.0)
    shared = page.saving.share(visit, 90, True, {}, HEADERS)
    assert shared["link"].value.startswith("https://example.org/page/?domain=toy&seed=3")
    assert not page.saving.store.directory.exists()
    other, shown = opened(page, query(shared))
    assert other.work.edit == visit.work.edit
    assert [bar["value"] for bar in bars(shown)] == [1.5, 0, -1.0, 0, 0, 0]
    assert shown["edited"]["src"] == edited["edited"]["src"]


def test_a_photograph_is_shared_by_a_record_and_deleted_by_its_owner(page, visit, photo):
    inverted(page, visit, photo)
    page.sliders.show(visit, CROP)
    page.sliders.arrange(visit, "SeFa", "0-2", 4)
    edited = moved(page, visit, 2.0)
    shared = page.saving.share(visit, 7, True, {"old": "token"}, HEADERS)
    assert set(shared["tokens"]) == {"old", visit.link}
    again = Desk(ShareStore(page.saving.store.directory))  # as after a restart
    other, shown = opened(again, query(shared))
    assert other.work.edit == {"SeFa@0-2/SeFa 1": 2.0}
    assert shown["layers"].value == "0-2"
    assert shown["count"] == 4
    assert bars(shown)[0]["value"] == 2.0
    assert shown["original"]["src"] == ""  # the photograph was never stored
    difference = pixels(shown["edited"]) - pixels(edited["edited"])
    assert 10 * np.log10(255**2 / np.mean(difference**2).clip(1e-9)) > 40
    assert not shown["delete"].visible
    with pytest.raises(ShareError, match="Only the browser"):
        again.saving.delete(other, {})
    assert opened(again, query(shared), shared["tokens"])[1]["delete"].visible
    moved(again, other, 1.0)  # the link is still this one
    gone = again.saving.delete(other, shared["tokens"])
    assert gone["tokens"] == {"old": "token"}
    missing = opened(page, query(shared))[1]
    assert missing["status"]["kind"] == "problem"
    assert "deleted" in missing["status"]["text"]
    assert missing["edited"]["src"]  # a sample instead


def test_links_of_another_model_version_say_so_and_show_what_they_can(page, visit, photo, monkeypatch):
    inverted(page, visit, photo)
    moved(page, visit, 2.0)
    shared = page.saving.share(visit, 7, True, {}, HEADERS)
    toy = type(page.models.editor("toy").generator)
    monkeypatch.setattr(toy, "fingerprint", property(lambda _: "0" * 64))
    shown = opened(page, query(shared))[1]
    assert "another version" in shown["status"]["text"]
    assert bars(shown)[0]["value"] == 2.0
    monkeypatch.undo()
    other = Desk(page.saving.store)
    other.models.editor("toy").generator.dim = 8
    assert "another model" in opened(other, query(shared))[1]["status"]["text"]


STRANGE = {
    "?domain=toy&seed=3&edit=Nobody/Nothing=2&edit=SeFa/SeFa%201=1": "Nobody/Nothing",
    "?domain=toy&seed=3&layers=77": "layers do not exist",
    "?domain=toy&seed=3&keep=smile&layers=77": "layers do not exist",
    "?domain=toy&seed=3&layers=" + "9" * 5000: "layers do not exist",
    "?domain=toy&seed=3&edit=SeFa@" + "9" * 5000 + "/SeFa%201=1": "no longer exist",
    "?domain=toy&seed=3&edit=SeFa/SeFa%201|x=1": "no longer exist",
    "?domain=toy&seed=3" + "&a=b" * 100: "too long",
    "?domain=mars&seed=3": "“mars”",
    "?domain=toy&seed=x": "seed",
    "?domain=toy&seed=99999999999": "seed",
    "?domain=toy&seed=3&count=many": "number of sliders",
    "?domain=toy&seed=3&edit=SeFa/SeFa%201=nan": "not a number",
    "?domain=toy&seed=3&edit==2": "no name",
    "?share=../../etc/passwd": "does not exist",
    "?share=" + "a" * 22: "does not exist",
}


@pytest.mark.parametrize("link", STRANGE, ids=lambda link: link[:60])
def test_a_strange_link_is_explained_and_something_is_shown(page, link):
    shown = opened(page, link)[1]
    assert STRANGE[link] in shown["status"]["text"]
    assert shown["status"]["kind"] == "problem"
    assert shown["edited"]["src"]


def test_values_of_a_link_stay_within_the_sliders(page):
    visit, shown = opened(page, "?domain=toy&seed=3&edit=SeFa/SeFa%201=1e9")
    first = bars(shown)[0]
    assert first["value"] == first["high"]
    assert visit.work.edit["SeFa/SeFa 1"] == pytest.approx(first["high"], abs=1e-3)


def test_no_link_opens_the_first_sample(page):
    for link in ("", "?domain=toy", "?domain=nothing&__theme=dark"):
        assert opened(page, link)[0].work.seed == 1


def test_seed_links_come_back_as_they_went():
    link = SeedLink(
        "faces", 2**32 - 1, {"SeFa@0-2,5/SeFa 1": -2.5, "SVM/smile & é=x": 1.0}, Panel("SeFa", "0-2,5", 7)
    )
    assert read_seed_link(parsed(seed_query(link))) == link
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


# Decoders


@pytest.mark.parametrize("name", names(Decoder))
def test_an_inverters_own_decoder_goes_from_photograph_to_link(
    page, visit, photo, tmp_path, monkeypatch, name
):
    """Photograph, edit, file, file opened, link, link opened: the same picture, drawn by the decoder."""
    editor = page.models.editor("toy")
    own = find(Decoder, name)(
        editor.generator, import_module(f"examples.decoders.{name}").delta(editor.generator)
    )
    inversion = Inversion(editor.generator.sample([1]), own)
    monkeypatch.setattr(Steps, "invert", lambda *_, **__: (each for each in [inversion]))
    visit.whole = False
    shown = inverted(page, visit, photo)[-1]
    here = visit.work.inversion(editor)  # with the photograph in memory
    assert here.generator.fingerprint == own.fingerprint
    edit = {"SeFa/SeFa 1": 0.5}
    wanted = [np.asarray(editor.render(each, edit), float) for each in (here, inversion)]
    plain = np.asarray(editor.render(Inversion(inversion.latents, editor.generator), edit), float)
    assert np.abs(plain - wanted[1]).mean() > 8
    zero = np.asarray(editor.render(here), float)
    for picture, right in zip((shown, moved(page, visit, 0.5)), (zero, wanted[0]), strict=True):
        assert (
            np.abs(pixels(picture["edited"]) - right).mean() < 7
        )  # the photograph is noise, which JPEG changes

    path = tmp_path / "latent.npz"
    path.write_bytes(base64.b64decode(page.saving.npz(visit)["download"]["data"]))
    again = Desk(page.saving.store)  # as after a restart
    other = Visit("toy", "toy", again.models.panel("toy"))
    again.saving.open_file(other, str(path))
    assert np.abs(pixels(moved(again, other, 0.5)["edited"]) - wanted[1]).mean() < 4
    link = query(again.saving.share(other, 7, True, {}, HEADERS))
    third, shown = opened(page, link)
    assert third.work.decoder.fingerprint == own.fingerprint
    assert shown["status"]["kind"] == "done"
    assert np.abs(pixels(shown["edited"]) - wanted[1]).mean() < 4
    told = again.saving.share(other, 7, False, {}, HEADERS)
    assert "your photograph is not" in told["status"]["text"]
    without, shown = opened(page, query(told))
    assert without.work.decoder is None
    assert np.abs(pixels(shown["edited"]) - plain).mean() < 4

    again.models.editor("toy").generator.seed = 1  # another model by the same name: never another face
    refused = opened(again, link)[1]["status"]
    assert "a copy of another generator" in refused["text"]
    assert refused["kind"] == "problem"
