"""Between Gradio's events and the handlers: the visit, one queue, errors as plain words."""

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gradio as gr

from config import UserError
from ui.pictures import status
from ui.state import Visits
from ui.widgets import Update, Widgets

log = logging.getLogger(__name__)

# How many events of a kind run at once (see also the lock of `Models`: one computation at a time). To open a
# domain may mean to wait for weights: nobody else should.
LANES = {"edit": 1, "invert": 1, "open": 4, "draw": 1}
BROKEN = "Something went wrong on the server; its operator finds the details in the log. Please try again."


def problem(error: Exception) -> Update:
    """What the page says about an error: ours in full, others without a word that gives something away."""
    if isinstance(error, UserError):
        text = str(getattr(error, "public", error))
        return {"status": status(text[:1].upper() + text[1:], "problem")}
    log.exception("a handler failed", exc_info=error)
    return {"status": status(BROKEN, "problem")}


class Events:
    """Connects Gradio's events to handlers."""

    def __init__(self, widgets: Widgets, visits: Visits) -> None:
        self.widgets, self.visits = widgets, visits

    def on(
        self,
        trigger: Any,
        method: Callable[..., Any],
        inputs: Sequence[Any] = (),
        outputs: Sequence[Any] | None = None,
        lane: str | None = "edit",
        **options: Any,
    ) -> Any:
        """Calls `method(visit, *values of inputs)` at every one of the triggers, or after an event that `on`
        returned. It returns, or yields, an Update of `outputs`, by default of any widget. Returns the event.

        The arguments `headers` and `index` (of what was selected), if the method has them, come from the
        request. `lane` is one of LANES; None goes around the queue, for what must be answered at once.
        """
        connect = partial(gr.on, trigger) if isinstance(trigger, list) else trigger.then
        limit = {"concurrency_id": lane, "concurrency_limit": LANES.get(lane or "")}
        return connect(
            fn=self._function(method),
            inputs=list(inputs),
            outputs=self.widgets.outputs if outputs is None else list(outputs),
            show_progress="hidden",
            # nothing is shown, but Gradio would tell every output of every event that ever ran, at each event
            show_progress_on=self.widgets.status,
            api_visibility="private",
            **({"queue": False} if lane is None else limit),
            **options,
        )

    def _function(self, method: Callable[..., Any]) -> Callable[..., Any]:
        wanted = inspect.signature(method).parameters

        def call(request: gr.Request, event: gr.EventData, values: Sequence[Any]) -> Any:
            known = {"headers": dict(request.headers), "index": (event._data or {}).get("index")}
            extra = {name: value for name, value in known.items() if name in wanted}
            return method(self.visits.get(request.session_hash or ""), *values, **extra)

        def once(request: gr.Request, event: gr.EventData, *values: Any) -> Any:
            try:
                return self._changed(call(request, event, values))
            except Exception as error:
                return self._changed(problem(error))

        def stream(request: gr.Request, event: gr.EventData, *values: Any) -> Iterator[Any]:
            yield gr.skip()  # a generator that yields nothing would empty all of its outputs
            try:
                for update in call(request, event, values):
                    yield self._changed(update)
            except Exception as error:
                yield self._changed(problem(error))

        return stream if inspect.isgeneratorfunction(method) else once

    def _changed(self, update: Update) -> Any:
        """As Gradio wants it."""
        return {getattr(self.widgets, name): value for name, value in update.items()} or gr.skip()
