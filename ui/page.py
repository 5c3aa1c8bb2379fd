"""The page: its look, and which handler answers which widget. No torch here."""

import logging
import time
from pathlib import Path
from typing import Any

import gradio as gr

from config import CONFIGS
from sharing import ShareStore
from ui.domain import Domain
from ui.events import Events
from ui.fetching import fetched
from ui.models import Models
from ui.photograph import Photograph
from ui.saving import Saving
from ui.sliders import Sliders
from ui.state import HOUR, Visits
from ui.widgets import ASSETS, Widgets

log = logging.getLogger(__name__)

REPORT_SECONDS = 10.0  # between two lines of the log about one download
# `window.sliders` of assets/page.js; `moves` and `zero` are there once the tab with the sliders is
ZERO = "() => { window.sliders.zero?.(); return []; }"
MOVES = "() => [window.sliders.moves?.()]"
CSS = (ASSETS / "page.css").read_text()
HEAD = f"<script>{(ASSETS / 'page.js').read_text()}</script>"


def theme() -> gr.themes.Base:
    """Calm colours, system fonts: nothing is asked from another server."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "monospace"]
    sizes = {"radius_size": "md", "spacing_size": "sm"}
    return gr.themes.Base(primary_hue="teal", neutral_hue="slate", font=sans, font_mono=mono, **sizes).set(
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
        self.models, self.visits, self.store = Models(configs), Visits(), store
        self.domain, self.photograph = Domain(self.models), Photograph(self.models)
        self.sliders, self.saving = Sliders(self.models), Saving(self.models, store)
        with gr.Blocks(
            title="Semantic Sliders", analytics_enabled=False, delete_cache=(600, HOUR), fill_width=True
        ) as self.blocks:
            self.widgets = Widgets(self.models.offered())
            events = Events(self.widgets, self.visits)
            self._wire_domain(events)
            self._wire_photograph(events)
            self._wire_sliders(events)
            self._wire_saving(events)
            self.blocks.unload(self._leave)

    def _wire_domain(self, events: Events) -> None:
        at, domain = self.widgets, self.domain
        arrived = events.on(
            [self.blocks.load],
            self.saving.open,
            [at.said, at.tokens],
            lane="open",
            js="(_, tokens) => [window.location.search, tokens]",
        )
        # `multiple`: who does not want to wait for a download may choose again
        chosen = events.on(
            [at.domain.input], domain.choose, [at.domain], lane="open", trigger_mode="multiple"
        )
        for event in (arrived, chosen):
            self._illustrate(events, events.on(event, domain.samples))
        events.on([at.samples.select], domain.pick)
        events.on([at.random.click], domain.random)
        events.on([at.show.click, at.seed.submit], domain.sample, [at.seed])

    def _wire_photograph(self, events: Events) -> None:
        at, photograph = self.widgets, self.photograph
        # Not preprocessed: Gradio's own error for a file that is no picture says nothing. `receive` checks
        # the path.
        uploaded = [at.upload, at.framing]
        events.on([at.upload.upload], photograph.receive, uploaded, lane="open", preprocess=False)
        events.on([at.framing.input], photograph.frame, [at.framing])
        events.on([at.faces.select], photograph.pick)
        events.on([at.crop.release], photograph.crop, [at.crop], trigger_mode="always_last")
        events.on([at.inverter.input], photograph.choose, [at.inverter])
        ready = events.on([at.invert.click], photograph.ready, [at.inverter], lane="open")
        done = events.on(ready, photograph.invert, [at.inverter, at.steps], lane="invert")
        self._illustrate(events, done)
        events.on([at.stop.click], photograph.stop, lane=None)

    def _wire_sliders(self, events: Events) -> None:
        at, sliders = self.widgets, self.sliders
        # Never `change`: it also fires when a handler sets the sliders. One listener for moves and releases,
        # so that the full picture cannot overtake the last preview; it never sets what it listens to.
        events.on(
            [at.sliders.input],
            sliders.drag,
            [at.said],
            [at.edited, at.status],
            lane=None,  # the queue would add 60 ms; a visitor has one at a time, and the lock does the rest
            trigger_mode="always_last",
            js=MOVES,
        )
        events.on([at.whole.input], sliders.show, [at.whole])
        panel = [at.source, at.layers, at.count]
        changed = [at.source.input, at.layers.input, at.count.release]
        arranged = events.on(changed, sliders.arrange, panel, trigger_mode="always_last")
        kept = events.on([at.keep.input], sliders.keep, [at.keep], trigger_mode="always_last")
        for event in (arranged, kept):
            self._illustrate(events, event)
        events.on([at.reset.click], sliders.reset, js=ZERO)

    def _illustrate(self, events: Events, event: Any) -> None:
        events.on(event, self.sliders.illustrate, [self.widgets.said], lane="draw", js=MOVES)

    def _wire_saving(self, events: Events) -> None:
        at, saving = self.widgets, self.saving
        events.on([at.png.click], saving.picture)
        events.on([at.npz.click], saving.npz)
        events.on([at.open.upload], saving.open_file, [at.open])
        events.on([at.share.click], saving.share, [at.days, at.look, at.tokens])
        events.on([at.delete.click], saving.delete, [at.tokens])
        at.copy.click(None, [at.link], [at.copy], js="(link) => window.copyLink(link)")

    def _leave(self, request: gr.Request) -> None:
        self.visits.leave(request.session_hash or "")

    def warm(self) -> None:
        """Fetch and load the first domain, draw its samples: the first visitor finds them ready."""
        first = next(iter(self.models.domains))
        said, when = "", 0.0
        try:
            for update in fetched(self.models.editor(first)):
                assert "status" in update
                text = update["status"]["text"]
                if text.rpartition(": ")[0] != said or time.monotonic() - when > REPORT_SECONDS:
                    said, when = text.rpartition(": ")[0], time.monotonic()
                    log.info("%s", text)
            self.models.samples(first)
        except Exception as error:
            log.warning("%s is not ready: %s", first, error)
