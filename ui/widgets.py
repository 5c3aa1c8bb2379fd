"""The widgets of the page and where they stand; what they do is in `page` and the handlers."""

from pathlib import Path
from typing import Any, TypedDict

import gradio as gr

from ui.pictures import Crop, Picture, Status, cropper, nothing, status
from ui.semantics import POOL

ASSETS = Path(__file__).parent / "assets"
ALIGN, BY_HAND = "align", "hand"  # ways to frame a photograph
WHOLE, CROP = "photo", "crop"  # what of it is shown


class Update(TypedDict, total=False):
    """What a handler changes: new values or properties, by the attribute of `Widgets`; the rest stays."""

    domain: Any
    original: Picture
    inversion: Picture
    edited: Picture
    whole: Any
    status: Status
    tabs: Any
    upload: None
    faces: Any
    framing: Any
    crop: Crop
    inverter: Any
    steps: Any
    invert: Any
    stop: Any
    samples: Any
    seed: int
    note: str
    source: Any
    layers: Any
    count: int
    keep: Any
    sliders: Any
    look: Any
    link: Any
    copy: Any
    delete: Any
    download: dict[str, Any]
    tokens: dict[str, str]


class Widgets:
    """Every widget that a handler reads or changes. Made inside a `gr.Blocks`, in the order of the page."""

    def __init__(self, domains: list[tuple[str, str]]) -> None:
        # The secret only keeps the tokens out of plain sight in this browser's own storage.
        # Id of a link -> what deletes it.
        self.tokens = gr.BrowserState({}, storage_key="semantic-sliders-links", secret="semantic-sliders")
        # What a script says when a request is sent: a widget that is shown would be told of every event.
        self.said = gr.JSON(visible=False)
        with gr.Row(elem_id="header"):
            gr.HTML("<h1>Semantic Sliders</h1>", elem_id="title", apply_default_css=False)
            self.domain = gr.Dropdown(domains, label="Model", show_label=False, container=False)
        with gr.Row(elem_id="main"):
            with gr.Column(elem_id="stage"):
                self._stage()
            with gr.Column(elem_id="controls"), gr.Tabs(selected="picture") as self.tabs:
                with gr.Tab("Picture", id="picture"):
                    self._picture()
                with gr.Tab("Edit", id="edit"):
                    self._edit()
                with gr.Tab("Save & share", id="keep"):
                    self._save()
        for name, widget in vars(self).items():
            widget.elem_id = name  # for the assets

    @property
    def outputs(self) -> list[Any]:
        """What handlers may change."""
        return [getattr(self, name) for name in Update.__annotations__]

    def _stage(self) -> None:
        """The three pictures and the status line."""
        self.original = _html("picture", nothing("Loading…"), title="Original")
        self.inversion = _html("picture", nothing("Loading…"), title="Inversion")
        self.edited = _html("picture", nothing("Loading…"), title="Edit", template="compare")
        self.whole = gr.Radio(
            [("Whole photo", WHOLE), ("Only this", CROP)],
            value=WHOLE,
            label="Show",
            show_label=False,
            container=False,
            visible=False,
        )
        self.status = _html("status", status("Loading the model…", "busy"))

    def _picture(self) -> None:
        """Tab: where the picture comes from."""
        self.upload = gr.Image(
            type="filepath",
            sources=["upload", "clipboard", "webcam"],
            label="Your photograph",
            show_label=False,
            placeholder="Drop a photograph here\n- or -\nclick to choose one",
            buttons=[],
            height=190,
        )
        self.faces = _thumbnails(6, label="Which one?")
        self.framing = gr.Radio([("Align", ALIGN), ("As it is", BY_HAND)], value=ALIGN, label="Framing")
        self.crop = _html("crop", cropper())
        with gr.Accordion("Inversion settings", open=False, elem_id="how"):
            self.inverter = gr.Dropdown([], label="Inverter")
            self.steps = gr.Slider(1, 1000, 100, step=1, label="Steps", info="More steps: closer, slower")
        self.invert = gr.Button("Invert", variant="primary", interactive=False)
        self.stop = gr.Button("Stop and keep this", variant="stop", visible=False)
        gr.HTML("<p class='or'>or start from a generated picture</p>", apply_default_css=False)
        self.samples = _thumbnails(4, label="Samples", show_label=False)
        with gr.Row(elem_id="seeds"):
            # no limits: Gradio's own words for a number outside them say nothing
            self.seed = gr.Number(7, label="Seed", show_label=False, container=False)
            self.show = gr.Button("Show")
            self.random = gr.Button("Random")
        self.note = gr.Markdown()

    def _edit(self) -> None:
        """Tab: the sliders."""
        with gr.Row(elem_id="which"):
            self.source = gr.Dropdown([], label="Directions", min_width=120)
            self.layers = gr.Dropdown(["all"], label="Layers", allow_custom_value=True, min_width=120)
        with gr.Accordion("What to keep, how many sliders", open=False, elem_id="more"):
            self.count = gr.Slider(1, POOL, 10, step=1, label="How many", buttons=[])
            self.keep = gr.CheckboxGroup(
                [], label="Keep as it is", info="Other sliders then leave it alone", visible=False
            )
        self.reset = gr.Button("Reset all sliders", size="sm")
        self.sliders = _html("sliders", {"bars": []}, sheet={"url": "", "rows": 0})

    def _save(self) -> None:
        """Tab: links and files."""
        gr.Markdown("#### Share", elem_classes="section")
        self.days = gr.Dropdown(
            [("7 days", 7), ("90 days", 90), ("1 year", 365)], value=90, label="Keep the link for"
        )
        self.look = gr.Checkbox(
            True,
            label="With the look of the photograph",
            info="A small copy of what makes this picture yours travels in the link. Without it, the link "
            "shows a similar picture that the model made.",
            visible=False,
        )
        self.share = gr.Button("Make a link", variant="primary")
        self.link = gr.Textbox(label="Link", visible=False, interactive=False)
        self.copy = gr.Button("Copy link", visible=False)
        self.delete = gr.Button("Delete this link", variant="stop", visible=False)
        gr.Markdown("#### Download", elem_classes="section")
        with gr.Row():
            self.png = gr.Button("Picture")
            self.npz = gr.Button("Latent (.npz)")
        self.download = _html("download", {}, visible="hidden")
        gr.Markdown("#### Continue with a latent", elem_classes="section")
        self.open = gr.UploadButton("Open .npz or .npy", file_types=[".npz", ".npy"])


def _html(behaviour: str, value: object, title: str = "", template: str = "", **properties: Any) -> Any:
    """A widget of our own: `assets/behaviour.js` over the HTML of the same name, or of `template`."""
    html = (ASSETS / f"{template or behaviour}.html").read_text().replace("TITLE", title)
    properties |= {"js_on_load": (ASSETS / f"{behaviour}.js").read_text(), "apply_default_css": False}
    return gr.HTML(value, html_template=html, elem_classes="figure" if title else None, **properties)


def _thumbnails(columns: int, **properties: Any) -> Any:
    """Small pictures to choose from, hidden while there are none."""
    return gr.Gallery(
        columns=columns, allow_preview=False, visible=False, buttons=[], format="jpeg", **properties
    )
