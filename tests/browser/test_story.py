"""The whole story in a real browser: from a photograph to a link that works elsewhere, after a restart."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytestmark = pytest.mark.browser

TOY = Path(__file__).parents[1] / "configs"


@pytest.fixture(scope="module")
def shares(tmp_path_factory):
    return tmp_path_factory.mktemp("shares")


@pytest.fixture(scope="module")
def server(serve, shares):
    return serve(TOY, shares)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photo.png"
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120, 3), np.uint8)
    Image.fromarray(pixels).resize((480, 360)).save(path)
    return path


def source(page, figure="edited"):
    return page.locator(f"#{figure} img.shown").get_attribute("src")


def pixels(page, figure="edited"):
    data = base64.b64decode(source(page, figure).partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), dtype=float)


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def bar(page, place):
    return page.locator(f"#slider{place} input[type=range]")


def values(page):
    return [float(each.input_value()) for each in page.locator("#sliders input[type=range]").all()]


def changed(page, before, figure="edited"):
    """Waits until the figure shows another picture than `before`."""
    from playwright.sync_api import expect

    expect(page.locator(f"#{figure} img.shown")).not_to_have_attribute("src", before)


def drag(page, place, share, full=64, held=None):
    """Drag a slider with the mouse to a share of its length, as a person does; waits for the full picture,
    `full` pixels wide. While the slider is held the picture has `held` rows."""
    slider = bar(page, place)
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    before = source(page)
    now = float(slider.input_value())
    low, high = float(slider.get_attribute("min")), float(slider.get_attribute("max"))
    page.mouse.move(box["x"] + 8 + (box["width"] - 16) * (now - low) / (high - low), y)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * share, y, steps=8)
    changed(page, before)
    assert pixels(page).shape[0] == (held or full // 2)  # a preview, as long as the slider is held
    page.mouse.up()
    page.wait_for_function(f"document.querySelector('#edited img.shown').naturalWidth === {full}")


def upload(page, path):
    page.locator("#upload input[type=file]").set_input_files(str(path))


def invert(page, path, whole=False):
    """From the file to the inversion; shows the crop, unless `whole`."""
    upload(page, path)
    page.locator("#original img.shown[src^='data:']").wait_for()
    page.locator("#invert:not([disabled])").click()
    page.locator("#status", has_text="Inverted after").wait_for()
    page.locator("#slider0").wait_for()
    if not whole:
        crop_alone(page)


def crop_alone(page):
    """Shows the crop instead of the whole photograph."""
    page.get_by_label("Only this").check()
    page.wait_for_function("document.querySelector('#edited figure').dataset.of === 'crop'")


def test_from_photograph_to_a_link_after_a_restart(serve, server, shares, visit, photo, tmp_path):
    visitor = visit(server.url)
    page = visitor.page
    invert(page, photo)
    inversion = source(page, "inversion")
    assert source(page) == inversion
    drag(page, 0, 0.9)
    drag(page, 2, 0.2)
    edited, moved = pixels(page), values(page)
    assert np.abs(edited - pixels(page, "inversion")).mean() > 3
    assert sum(value != 0 for value in moved) == 2

    page.get_by_role("button", name="vs inversion").click()
    before = page.locator("#edited img.before")
    assert before.is_visible()
    assert before.get_attribute("src") == inversion
    page.get_by_role("button", name="vs original").click()
    assert before.get_attribute("src") == source(page, "original")
    page.get_by_role("button", name="Edit", exact=True).click()
    assert not before.is_visible()

    tab(page, "Save")
    with page.expect_download() as download:
        page.locator("#png").click()
    download.value.save_as(tmp_path / "picture.png")
    lossless = np.asarray(Image.open(tmp_path / "picture.png"), dtype=float)
    assert np.abs(lossless - edited).mean() < 4  # JPEG on the page
    with page.expect_download() as download:
        page.locator("#npz").click()
    download.value.save_as(tmp_path / "latent.npz")
    with np.load(tmp_path / "latent.npz", allow_pickle=False) as file:
        assert file["latents"].shape[1:] == (6, 16)

    page.locator("#share").click()
    link = page.locator("#link").locator("input, textarea")
    link.wait_for()
    address = link.input_value()
    assert re.search(r"\?share=[\w-]{22}$", address)
    page.locator("#copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == address

    tab(page, "Edit")
    current = source(page)
    page.locator("#reset").click()
    changed(page, current)
    assert source(page) == inversion
    assert not any(values(page))

    visitor.close()
    server.stop()
    restarted = serve(TOY, shares)
    query = address.partition("?")[2]
    other = visit(f"{restarted.url}?{query}").page
    other.locator("#slider0").wait_for()
    assert values(other) == moved
    error = np.mean((pixels(other) - edited) ** 2)
    assert 10 * np.log10(255**2 / max(error, 1e-9)) > 40
    assert source(other, "original") is None  # the photograph is not shared
    tab(other, "Save")
    assert not other.locator("#delete").is_visible()


@pytest.fixture(scope="module")
def second(serve, shares):
    return serve(TOY, shares)


def test_the_owner_deletes_a_link(second, visit, photo):
    page = visit(second.url).page
    invert(page, photo)
    tab(page, "Save")
    page.locator("#share").click()
    page.locator("#delete").wait_for()
    address = page.locator("#link").locator("input, textarea").input_value()
    page.goto(address)  # the same browser, later: it still knows the token
    page.locator("#status", has_text="A shared picture").wait_for()
    tab(page, "Save")
    page.locator("#delete").click()
    page.locator("#status", has_text="deleted").wait_for()
    gone = visit(address).page
    gone.locator("#status", has_text="does not exist").wait_for()


def test_a_seed_link_needs_no_record(second, visit):
    page = visit(f"{second.url}?domain=toy&seed=11&edit=SeFa/SeFa%202=1.5").page
    page.locator("#slider1").wait_for()
    assert values(page)[1] == 1.5
    tab(page, "Save")
    page.locator("#share").click()
    link = page.locator("#link").locator("input, textarea")
    link.wait_for()
    assert "seed=11" in link.input_value()
    again = visit(link.input_value()).page
    assert source(again) == source(page)


def test_samples_and_random_pictures_need_no_upload(second, visit):
    page = visit(second.url).page
    first = source(page)
    page.locator("#samples button").nth(2).click()
    changed(page, first)
    third = source(page)
    page.locator("#random").click()
    changed(page, third)
    page.locator("#seed input").fill("3")
    page.locator("#show").click()
    page.locator("#status", has_text="number 3.").wait_for()
    assert source(page) == third


def test_keys_move_a_slider_and_end_with_the_full_picture(second, visit):
    page = visit(second.url).page
    tab(page, "Edit")
    slider = bar(page, 0)
    slider.focus()
    before = source(page)
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    changed(page, before)
    page.wait_for_function("document.querySelector('#edited img.shown').naturalWidth === 64")
    step = float(slider.get_attribute("step"))
    assert float(slider.input_value()) == pytest.approx(5 * step)
    current = source(page)
    slider.dblclick()
    changed(page, current)
    page.wait_for_function("document.querySelector('#slider0 input[type=range]').value === '0'")
    page.wait_for_function(f"document.querySelector('#edited img.shown').src.length === {len(before)}")
    assert source(page) == before


def test_other_layers_and_fewer_sliders(second, visit):
    page = visit(second.url).page
    tab(page, "Edit")
    page.get_by_text("how many sliders").click()
    assert len(values(page)) == 6
    page.locator("#layers input").fill("0-2")
    page.keyboard.press("Enter")
    count = page.locator("#count input[type=number]")
    count.fill("3")
    count.blur()
    page.locator("#slider3").wait_for(state="hidden")
    drag(page, 1, 0.8)
    page.locator("#layers input").fill("first")
    page.keyboard.press("Enter")
    page.locator("#status", has_text="cannot read").wait_for()


def test_a_file_that_is_no_picture_is_explained(second, visit, tmp_path):
    page = visit(second.url).page
    (tmp_path / "letter.png").write_text("This is a letter, not a picture.")
    upload(page, tmp_path / "letter.png")
    page.locator("#status [data-kind=problem]").wait_for()
    assert "/" not in page.locator("#status .text").inner_text()
    assert page.locator("#invert").is_disabled()


def test_two_visitors_are_isolated(second, visit, photo):
    first, other = visit(second.url).page, visit(second.url).page
    before = source(other)
    assert source(first) == before
    invert(first, photo)
    drag(first, 0, 0.9)
    assert source(other) == before
    tab(other, "Edit")
    assert not any(values(other))
    drag(other, 0, 0.9)
    assert np.abs(pixels(other) - pixels(first)).mean() > 3


def test_everything_fits_on_a_phone(second, visit, photo):
    page = visit(second.url, width=390, height=844).page
    wide = "document.documentElement.scrollWidth > window.innerWidth"
    assert not page.evaluate(wide)
    invert(page, photo)
    assert not page.evaluate(wide)
    last = bar(page, 5)
    last.scroll_into_view_if_needed()
    for figure in ("original", "inversion", "edited"):  # in sight together with the last slider
        box = page.locator(f"#{figure} img.shown").bounding_box()
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= last.bounding_box()["y"]
    drag(page, 5, 0.9)
    tab(page, "Save")
    page.locator("#share").click()
    page.locator("#copy").wait_for()
    assert not page.evaluate(wide)


def test_every_widget_has_a_name_and_every_picture_words(second, visit):
    page = visit(second.url).page
    for name in ("Picture", "Edit", "Save"):
        tab(page, name)
        unnamed = page.evaluate(
            """() => [...document.querySelectorAll('button, input:not([type=file]), textarea')]
            .filter((each) => each.offsetParent && !each.labels?.length && !each.getAttribute('aria-label')
                && !each.innerText?.trim() && !each.title && !each.placeholder)
            .map((each) => each.outerHTML.slice(0, 200))"""
        )
        assert unnamed == []
    assert page.locator("#edited img.shown").get_attribute("alt")
    assert page.locator("#status [role=status]").count() == 1
