"""The page: widgets, where they stand, and which handler answers them. No torch here."""

import logging
from pathlib import Path
from typing import Any

import gradio as gr

from editor import CONFIGS
from sharing import ShareStore
from ui import panels
from ui.fetching import fetched
from ui.handlers import Handlers
from ui.keeping import Keeping
from ui.panels import HOUR
from ui.photographs import Photographs
from ui.sliders import Sliders
from ui.wiring import Wiring

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
PANEL = ["source", "layers", "count", "keep"]
ZERO = "(work) => { window.zero?.(); return [work]; }"
MOVES = "(work) => [work, window.moves?.()]"  # of ui/sliders.js, once the tab with the sliders is there
WORK = ["work", "original", "inversion", "edited", "sliders", "status"]  # what `Handlers.show` sets
# what `Handlers.settings` sets
SETTINGS = [*PANEL, "domain", "choice", "note", "framing", "inverter", "steps"]
SETTINGS += ["photo", "upload", "faces", "invert"]
CSS = (HERE / "page.css").read_text()
HEAD = f"<script>{(HERE / 'page.js').read_text()}</script>"


def theme() -> gr.themes.Base:
    """Calm colours, system fonts: nothing is asked from another server."""
    sans, mono = (
        ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"],
        ["ui-monospace", "monospace"],
    )
    base = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="slate",
        radius_size="md",
        spacing_size="sm",
        font=sans,
        font_mono=mono,
    )
    return base.set(
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_large_text_weight="550",
        button_small_text_weight="550",
        button_large_text_size="14px",
        slider_color="*primary_700",
    )


class Page:
    """Builds the Blocks; `blocks` is what `app` launches."""

    def __init__(self, store: ShareStore, configs: Path = CONFIGS) -> None:
        self.handlers = Handlers(configs)
        self.sliders = Sliders(self.handlers)
        self.photographs = Photographs(self.handlers)
        self.keeping = Keeping(self.handlers, store)
        self.widgets: dict[str, Any] = {}
        with gr.Blocks(
            title="Semantic Sliders", analytics_enabled=False, delete_cache=(600, HOUR), fill_width=True
        ) as self.blocks:
            self.widgets |= panels.states()
            self._header()
            with gr.Row(elem_id="main"):
                with gr.Column(elem_id="stage"):
                    self.widgets |= panels.stage()
                with gr.Column(elem_id="controls"):
                    self._controls()
            self._wire()

    def _controls(self) -> None:
        with gr.Tabs(selected="picture", elem_id="tabs") as self.widgets["tabs"]:
            with gr.Tab("Picture", id="picture"):
                self.widgets |= panels.picture()
            with gr.Tab("Edit", id="edit"):
                self.widgets |= panels.edit()
            with gr.Tab("Save & share", id="keep"):
                self.widgets |= panels.keep()

    def _header(self) -> None:
        choices = self.handlers.offered()
        self.widgets["domain"] = gr.State(choices[0][1])  # the one on the page; the list may be ahead of it
        with gr.Row(elem_id="header"):
            gr.HTML("<h1>Semantic Sliders</h1>", elem_id="title", apply_default_css=False)
            self.widgets["choice"] = gr.Dropdown(
                choices,
                value=choices[0][1],
                label="Model",
                show_label=False,
                container=False,
                elem_id="domain",
            )

    def _wire(self) -> None:
        on, get = Wiring(self.widgets), self.widgets
        arrived = on(
            [self.blocks.load],
            self.keeping.open,
            ["query", "tokens"],
            [*SETTINGS, *WORK, "seed", "tabs", "delete"],
            lane="open",
            js="(query, tokens) => [window.location.search, tokens]",
        )
        # `multiple`: who does not want to wait for a download may choose again
        chosen = on(
            [get["choice"].input],
            self.handlers.choose,
            ["choice", "domain"],
            [*SETTINGS, *WORK, "seed"],
            lane="open",
            trigger_mode="multiple",
        )
        for event in (arrived, chosen):
            seen = on.after(event, self.handlers.samples, ["domain"], ["samples", "status"])
            self._illustrate(on, seen)
        self._wire_picture(on)
        self._wire_sliders(on)
        self._wire_keep(on)

    def _illustrate(self, on: Wiring, event: Any) -> None:
        given, shown = ["work", "moves"], ["sliders", "status"]
        on.after(event, self.sliders.illustrate, given, shown, lane="draw", js=MOVES)

    def _wire_picture(self, on: Wiring) -> None:
        get = self.widgets
        framed = [*WORK, "photo", "invert"]
        seen = [*framed, "crop"]
        # Not preprocessed: Gradio's own error for a file that is no picture says nothing. `receive` checks
        # the path.
        received = on(
            [get["upload"].upload],
            self.photographs.receive,
            ["upload"],
            ["received", "status"],
            preprocess=False,
        )
        prepared = on.after(
            received, self.photographs.prepare, ["domain"], ["received", "status"], lane="open"
        )
        found = ["received", "domain", "framing"]
        on.after(prepared, self.photographs.detect, found, [*seen, "faces", "received"])
        on([get["framing"].input], self.photographs.frame, ["photo", "domain", "framing"], seen)
        on([get["faces"].select], self.photographs.pick, ["photo", "domain"], [*seen, "framing"])
        on(
            [get["crop"].release],
            self.photographs.crop,
            ["photo", "domain", "crop"],
            framed,
            trigger_mode="always_last",
        )
        on([get["inverter"].input], self.photographs.choose, ["domain", "inverter"], ["steps", "status"])
        ready = on(
            [get["invert"].click],
            self.photographs.ready,
            ["photo", "inverter"],
            ["inverter", "status"],
            lane="open",
        )
        inverting = ["photo", "inverter", "steps", *PANEL]
        shown = [*WORK, "invert", "stop", "tabs"]
        done = on.after(ready, self.photographs.invert, inverting, shown, lane="invert")
        self._illustrate(on, done)
        on([get["stop"].click], self.photographs.stop, outputs=["status"], lane=None)
        sampled = [*WORK, "seed"]
        on([get["samples"].select], self.handlers.pick, ["domain", *PANEL], sampled)
        on([get["random"].click], self.handlers.random, ["domain", *PANEL], sampled)
        on([get["show"].click, get["seed"].submit], self.handlers.sample, ["domain", "seed", *PANEL], sampled)
        self.blocks.unload(self.photographs.leave)

    def _wire_sliders(self, on: Wiring) -> None:
        get = self.widgets
        # Never `change`: it also fires when a handler sets the sliders. One listener for moves and releases,
        # so that the full picture cannot overtake the last preview; it never sets what it listens to.
        on(
            [get["sliders"].input],
            self.sliders.drag,
            ["work", "moves"],
            ["work", "edited", "status"],
            lane=None,  # the queue would add 60 ms; a visitor has one at a time, and the lock does the rest
            trigger_mode="always_last",
            js=MOVES,
        )
        panel = [get["source"].input, get["layers"].input, get["count"].release]
        shown = ["work", "status", "sliders"]
        given = ["work", "domain", *PANEL]
        arranged = on(panel, self.sliders.arrange, given, [*shown, "keep"], trigger_mode="always_last")
        kept = on(
            [get["keep"].input], self.sliders.keep, given, [*shown, "edited"], trigger_mode="always_last"
        )
        for event in (arranged, kept):
            self._illustrate(on, event)
        on([get["reset"].click], self.sliders.reset, ["work"], [*shown, "edited"], js=ZERO)

    def _wire_keep(self, on: Wiring) -> None:
        get = self.widgets
        on([get["png"].click], self.keeping.png, ["work"], ["download", "status"])
        on([get["npz"].click], self.keeping.npz, ["work"], ["download", "status"])
        on([get["open"].upload], self.keeping.open_file, ["open", "domain"], [*SETTINGS, *WORK])
        linked = ["link", "copy", "delete", "tokens", "work", "status"]
        on([get["share"].click], self.keeping.share, ["work", "days", "tokens"], linked)
        on([get["delete"].click], self.keeping.delete, ["work", "tokens"], linked)
        get["copy"].click(None, [get["link"]], [get["copy"]], js="(link) => window.copyLink(link)")

    def warm(self) -> None:
        """Fetch and load the first domain, draw its samples: the first visitor finds them ready."""
        first = next(iter(self.handlers.domains))
        try:
            for update in fetched(self.handlers.editor(first)):
                log.info("%s", update["status"]["text"])
            self.handlers.samples(first)
        except Exception as error:
            log.warning("%s is not ready: %s", first, error)
