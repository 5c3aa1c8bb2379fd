"""The widgets of the page by name, part by part. Each function adds them where it is called."""

from pathlib import Path
from typing import Any

import gradio as gr

from ui.cropping import cropper
from ui.pictures import nothing, status
from ui.semantics import POOL

HERE = Path(__file__).parent
HOUR = 3600  # seconds
Widgets = dict[str, Any]


def states() -> Widgets:
    """What is remembered, not shown."""
    return {
        "work": gr.State(None, time_to_live=HOUR),
        "photo": gr.State(None, time_to_live=HOUR),
        # The secret only keeps the tokens out of plain sight in this browser's own storage.
        "tokens": gr.BrowserState({}, storage_key="semantic-sliders-links", secret="semantic-sliders"),
        "query": gr.Textbox(visible=False),
        "moves": gr.JSON(visible=False),  # what `window.moves` of ui/sliders.js says, when a request is sent
        "received": gr.State(None),
    }


def stage() -> Widgets:
    """The three pictures and the status line."""
    add: Widgets = {}
    figure, behaviour = (HERE / "picture.html").read_text(), (HERE / "picture.js").read_text()
    compare = (HERE / "compare.html").read_text()
    for name, title in (("original", "Original"), ("inversion", "Inversion"), ("edited", "Edit")):
        template = compare if name == "edited" else figure
        add[name] = gr.HTML(
            nothing("Loading…"),
            html_template=template.replace("TITLE", title),
            js_on_load=behaviour,
            apply_default_css=False,
            elem_id=name,
            elem_classes="figure",
        )
    add["status"] = gr.HTML(
        status("Loading the model…", "busy"),
        html_template=(HERE / "status.html").read_text(),
        js_on_load=(HERE / "status.js").read_text(),
        apply_default_css=False,
        elem_id="status",
    )
    return add


def picture() -> Widgets:
    """Tab: where the picture comes from."""
    add: Widgets = {}
    add["upload"] = gr.Image(
        type="filepath",
        sources=["upload", "clipboard", "webcam"],
        label="Your photograph",
        show_label=False,
        placeholder="Drop a photograph here\n- or -\nclick to choose one",
        buttons=[],
        height=190,
        elem_id="upload",
    )
    add["faces"] = gr.Gallery(
        label="Which one?",
        columns=6,
        allow_preview=False,
        visible=False,
        buttons=[],
        format="jpeg",
        elem_id="faces",
    )
    add["framing"] = gr.Radio(
        [("Align", "align"), ("As it is", "center")], value="align", label="Framing", elem_id="framing"
    )
    add["crop"] = gr.HTML(
        cropper(),
        html_template=(HERE / "crop.html").read_text(),
        js_on_load=(HERE / "crop.js").read_text(),
        apply_default_css=False,
        elem_id="crop",
    )
    with gr.Accordion("Inversion settings", open=False, elem_id="how"):
        add["inverter"] = gr.Dropdown([], label="Inverter", elem_id="inverter")
        add["steps"] = gr.Slider(
            1, 1000, 100, step=1, label="Steps", info="More steps: closer, slower", elem_id="steps"
        )
    add["invert"] = gr.Button("Invert", variant="primary", interactive=False, elem_id="invert")
    add["stop"] = gr.Button("Stop and keep this", variant="stop", visible=False, elem_id="stop")
    gr.HTML("<p class='or'>or start from a generated picture</p>", apply_default_css=False)
    add["samples"] = gr.Gallery(
        label="Samples",
        show_label=False,
        columns=4,
        allow_preview=False,
        visible=False,
        buttons=[],
        format="jpeg",
        elem_id="samples",
    )
    with gr.Row(elem_id="seeds"):
        add["seed"] = gr.Number(
            7, label="Seed", show_label=False, precision=0, minimum=0, container=False, elem_id="seed"
        )
        add["show"] = gr.Button("Show", elem_id="show")
        add["random"] = gr.Button("Random", elem_id="random")
    add["note"] = gr.Markdown(elem_id="note")
    return add


def edit() -> Widgets:
    """Tab: the sliders."""
    add: Widgets = {}
    with gr.Row(elem_id="which"):
        add["source"] = gr.Dropdown([], label="Directions", elem_id="source", min_width=120)
        add["layers"] = gr.Dropdown(
            ["all"],
            value="all",
            label="Layers",
            allow_custom_value=True,
            elem_id="layers",
            min_width=120,
        )
    with gr.Accordion("What to keep, how many sliders", open=False, elem_id="more"):
        add["count"] = gr.Slider(1, POOL, 10, step=1, label="How many", buttons=[], elem_id="count")
        add["keep"] = gr.CheckboxGroup(
            [], label="Keep as it is", info="Other sliders then leave it alone", visible=False, elem_id="keep"
        )
    add["reset"] = gr.Button("Reset all sliders", size="sm", elem_id="reset")
    add["sliders"] = gr.HTML(
        {"bars": []},
        html_template=(HERE / "sliders.html").read_text(),
        js_on_load=(HERE / "sliders.js").read_text(),
        apply_default_css=False,
        elem_id="sliders",
        sheet={"url": "", "rows": 0},
    )
    return add


def keep() -> Widgets:
    """Tab: links and files."""
    add: Widgets = {}
    gr.Markdown("#### Share", elem_classes="section")
    add["days"] = gr.Dropdown(
        [("7 days", 7), ("90 days", 90), ("1 year", 365)],
        value=90,
        label="Keep the link for",
        elem_id="days",
    )
    add["share"] = gr.Button("Make a link", variant="primary", elem_id="share")
    add["link"] = gr.Textbox(label="Link", visible=False, interactive=False, elem_id="link")
    add["copy"] = gr.Button("Copy link", visible=False, elem_id="copy")
    add["delete"] = gr.Button("Delete this link", variant="stop", visible=False, elem_id="delete")
    gr.Markdown("#### Download", elem_classes="section")
    with gr.Row():
        add["png"] = gr.Button("Picture (PNG)", elem_id="png")
        add["npz"] = gr.Button("Latent (.npz)", elem_id="npz")
    add["download"] = gr.HTML(
        {},
        html_template="",
        js_on_load=(HERE / "download.js").read_text(),
        visible="hidden",
        elem_id="download",
    )
    gr.Markdown("#### Continue with a latent", elem_classes="section")
    add["open"] = gr.UploadButton("Open .npz or .npy", file_types=[".npz", ".npy"], elem_id="open")
    return add
