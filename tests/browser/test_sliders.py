"""The sliders themselves: typing, thumbnails, and what neither a late answer nor a browser may do."""

import json

import pytest
from test_story import TOY, bar, changed, drag, source, tab, values

from editor import Editor
from evaluation import naming

pytestmark = pytest.mark.browser

HOSTILE = "<img src=x onerror=document.body.remove()>"


@pytest.fixture(scope="module")
def url(serve, tmp_path_factory):
    """A page whose first direction has a measured name that is no name."""
    cache = tmp_path_factory.mktemp("cache")
    editor = Editor.load("toy", TOY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMANTIC_SLIDERS_CACHE", str(cache))
        key = naming.key(editor.generator.fingerprint, editor.source("SeFa"))
        naming.keep("toy", {key: {"SeFa 1": naming.Named(HOSTILE, 0.5, 1.0, 1.0)}})
    return serve(TOY, tmp_path_factory.mktemp("shares"), extra={"SEMANTIC_SLIDERS_CACHE": str(cache)}).url


@pytest.fixture
def page(url, visit):
    page = visit(url).page
    tab(page, "Edit")
    page.locator("#slider5").wait_for()
    return page


def described(page, words):
    from playwright.sync_api import expect

    expect(page.locator("#edited img.shown")).to_have_attribute("alt", words)


def test_names_are_text_and_label_what_they_belong_to(page):
    assert page.locator("#slider0 label").inner_text() == HOSTILE
    assert page.locator("#sliders img").count() == 0
    assert page.get_by_label("SeFa 2", exact=True).get_attribute("id") == bar(page, 1).get_attribute("id")
    assert page.get_by_role("button", name="Reset SeFa 2").is_visible()
    assert page.get_by_role("img", name="Purity 50 %").is_visible()


def test_a_number_is_typed_clamped_and_reset(page):
    number = page.locator("#slider1 input[type=number]")
    number.fill("1.23")
    described(page, "Edited picture: SeFa/SeFa 2 +1.2")
    number.fill("99")
    number.press("Enter")
    described(page, "Edited picture: SeFa/SeFa 2 +3.0")
    assert number.input_value() == bar(page, 1).input_value() == "3"
    number.fill("")
    number.press("Tab")
    assert number.input_value() == "3"
    number.press("Control+a")
    page.keyboard.type("-e-")
    number.blur()
    assert number.input_value() == "3"
    page.locator("#slider1 .reset-button").click()
    described(page, "The picture before any edit")
    assert values(page) == [0] * 6


def test_thumbnails_come_later_move_nothing_and_lead_to_their_end(page):
    drag(page, 0, 0.8)
    before = values(page)
    thumb = page.locator("#slider1 .thumb.minus")
    thumb.wait_for()  # drawn while nobody moves a slider
    assert values(page) == before
    current = source(page)
    thumb.click()
    changed(page, current)
    assert values(page)[:2] == [before[0], -2]
    tab(page, "Picture")
    tab(page, "Edit")
    assert values(page)[:2] == [before[0], -2]
    page.locator("#reset").click()
    described(page, "The picture before any edit")
    assert values(page) == [0] * 6


def test_no_answer_moves_a_slider_that_is_held(page):
    bar(page, 2).evaluate("bar => { bar.value = 1; bar.dispatchEvent(new Event('input')); }")
    described(page, "Edited picture: SeFa/SeFa 3 +1.0")
    box = bar(page, 1).bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.9 * box["width"], y, steps=4)
    held = values(page)[1]
    page.locator("#reset").dispatch_event("click")  # stands for any answer that sets the sliders
    page.locator("#status", has_text="All sliders are at zero.").wait_for()
    page.wait_for_function("document.querySelector('#slider2 input[type=range]').value === '0'")
    assert values(page) == [0, held, 0, 0, 0, 0]
    page.mouse.up()
    described(page, f"Edited picture: SeFa/SeFa 2 +{held:.1f}")
    page.wait_for_function("document.querySelector('#edited img.shown').naturalWidth === 64")


def test_a_reset_is_the_last_word_also_with_moves_under_way(page):
    """The first move is being drawn and the second waits for it when all sliders are reset."""
    hasty = """bar => {
        for (const value of [1, 2]) { bar.value = value; bar.dispatchEvent(new Event("input")); }
        document.querySelector("#reset").click();
    }"""
    for _ in range(3):
        bar(page, 1).evaluate(hasty)
        page.locator("#status", has_text="All sliders are at zero.").wait_for()
        page.wait_for_timeout(700)  # for answers that should not change anything any more
        described(page, "The picture before any edit")
        assert values(page) == [0] * 6
        page.locator("#slider1 .thumb.plus").click()
        described(page, "Edited picture: SeFa/SeFa 2 +2.0")


def test_the_server_believes_no_browser(page):
    with page.expect_request(lambda request: request.url.endswith("/run/predict")) as told:
        bar(page, 0).focus()
        page.keyboard.press("ArrowRight")
    body = json.loads(told.value.post_data)
    for said, answer in [
        ({"values": {"SeFa/SeFa 1": 1e9}}, "goes from -3 to 3"),
        ({"values": {"SeFa/SeFa 1": "abc"}}, "must be a number"),
        ({"values": [1]}, "did not say"),
        ("abc", "did not say"),
        (None, "did not say"),
    ]:
        body["data"] = [said]
        for _ in range(100):
            answered = page.request.post(told.value.url, data=body)
            assert answered.ok
            if "text" in answered.text():
                break
            page.wait_for_timeout(100)  # a visitor has one drag at a time, and the key's is still under way
        assert answer in answered.text()
        assert "Traceback" not in answered.text()
