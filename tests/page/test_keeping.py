"""Files and links of the page, without a server."""

import base64
import io
from urllib.parse import parse_qs

import numpy as np
import pytest
from PIL import Image
from visiting import CONFIGS, HEADERS, arrived, bars, inverted, moved, pixels, query, started

from latents import LatentsError
from sharing import ShareError, ShareStore
from ui.handlers import Handlers
from ui.keeping import Keeping
from ui.links import LinkError, Panel, SeedLink, address, read_seed_link, seed_query
from ui.sliders import Sliders

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


def test_a_seed_is_shared_without_any_record(handlers, keeping):
    work = moved(handlers, started(handlers)["work"], 1.5, 0, -1.0)["work"]
    shared = keeping.share(work, 90, {}, HEADERS)
    assert shared["link"].value.startswith("https://example.org/page/?domain=toy&seed=3")
    assert not keeping.store.directory.exists()
    opened = arrived(keeping.open(query(shared), {}))
    assert opened["work"].edit == work.edit
    assert [bar["value"] for bar in bars(opened)] == [1.5, 0, -1.0, 0, 0, 0]
    assert opened["edited"]["src"] == moved(handlers, work, 1.5, 0, -1.0)["edited"]["src"]


def test_a_photograph_is_shared_by_a_record_and_deleted_by_its_owner(handlers, page, keeping, photo):
    work = inverted(page, photo)[-1]["work"]
    work = Sliders(handlers).arrange(work, "toy", "SeFa", "0-2", 4)["work"]
    edited = moved(handlers, work, 2.0)
    shared = keeping.share(edited["work"], 7, {"old": "token"}, HEADERS)
    assert set(shared["tokens"]) == {"old", shared["work"].shared}
    again = Keeping(Handlers(CONFIGS), ShareStore(keeping.store.directory))  # as after a restart
    opened = arrived(again.open(query(shared), {}))
    assert opened["work"].edit == {"SeFa@0-2/SeFa 1": 2.0}
    assert opened["layers"].value == "0-2"
    assert opened["count"] == 4
    assert bars(opened)[0]["value"] == 2.0
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
    assert bars(opened)[0]["value"] == 2.0
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
    first = bars(opened)[0]
    assert first["value"] == first["high"]
    assert opened["work"].edit["SeFa/SeFa 1"] == pytest.approx(first["high"], abs=1e-3)


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
