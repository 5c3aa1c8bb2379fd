"""An inverter with a decoder of its own, in a real browser: the picture survives a file and a link."""

import numpy as np
import pytest
from test_story import TOY, changed, crop_alone, drag, pixels, source, tab, upload, values

import latents
from backends.decoders import Decoder
from backends.generators.toy import Toy
from backends.inverters import Inversion
from editor import Editor

pytestmark = pytest.mark.browser

JPEG = 2  # mean difference of a JPEG on the page from what it was made of, at most


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """What only a tuned generator draws: a picture of another one."""
    editor, other = Editor.load("toy", TOY), Toy(seed=1)
    path = tmp_path_factory.mktemp("photos") / "other.png"
    editor.render(Inversion(other.sample([3]), other)).save(path)
    return path


def invert(page, path, inverter):
    page.get_by_text("Inversion settings").click()
    page.locator("#inverter input").click()
    page.get_by_role("option", name=inverter).click()
    page.locator("#steps input[type=number]").wait_for()  # this inverter has steps
    upload(page, path)
    page.locator("#original img.shown[src^='data:']").wait_for()
    page.locator("#invert:not([disabled])").click()
    page.locator("#status", has_text="Inverted after").wait_for()
    page.locator("#slider0").wait_for()
    crop_alone(page)


def difference(first, other):
    return np.abs(np.asarray(first, float) - np.asarray(other, float)).mean()


def test_an_inverters_own_decoder_travels_by_file_and_by_link(serve, visit, photo, tmp_path):
    shares = tmp_path / "shares"
    server = serve(TOY, shares)
    visitor = visit(server.url)
    page = visitor.page
    invert(page, photo, "pivotal")
    inversion = pixels(page, "inversion")
    drag(page, 0, 0.8)
    edited, moved = pixels(page), values(page)
    assert difference(edited, inversion) > 3

    tab(page, "Save")
    with page.expect_download() as download:
        page.locator("#npz").click()
    download.value.save_as(tmp_path / "latent.npz")
    saved, editor = latents.load(tmp_path / "latent.npz"), Editor.load("toy", TOY)
    decoder, pivot = saved.decoding(editor.generator), saved.values[saved.names.index("inverted")][None]
    assert isinstance(decoder, Decoder)
    assert difference(editor.render(Inversion(pivot, decoder)), inversion) < JPEG
    plain = editor.render(Inversion(pivot, editor.generator))
    assert difference(plain, inversion) > 2 * JPEG  # or the rest would say nothing

    page.locator("#share").click()
    link = page.locator("#link").locator("input, textarea")
    link.wait_for()
    query = link.input_value().partition("?")[2]
    visitor.close()
    server.stop()
    restarted = serve(TOY, shares)

    shared = visit(f"{restarted.url}?{query}").page
    shared.locator("#slider0").wait_for()
    assert values(shared) == moved
    assert difference(pixels(shared), edited) < 1  # a record keeps latents as float16
    assert difference(pixels(shared, "inversion"), inversion) < 1

    other = visit(restarted.url).page
    before = source(other, "inversion")
    tab(other, "Save")
    other.locator("input[type=file][accept*=npz]").set_input_files(str(tmp_path / "latent.npz"))
    other.locator("#status", has_text="Latent opened.").wait_for()
    changed(other, before, "inversion")
    assert np.array_equal(pixels(other, "inversion"), inversion)
    tab(other, "Edit")
    drag(other, 0, 0.8)
    assert values(other) == moved
    assert np.array_equal(pixels(other), edited)
