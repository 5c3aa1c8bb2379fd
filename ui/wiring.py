"""Between Gradio's events and the handlers: widget names, one queue, errors as plain words."""

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gradio as gr

from backends.aligners import AlignmentError
from backends.checkpoints import CheckpointError
from backends.decoders import DecoderError
from backends.photos import PhotoError
from backends.weights import WeightsError
from config import ConfigError
from latents import LatentsError
from sharing import ShareError
from ui.links import LinkError
from ui.pictures import status

try:
    from spaces import GPU as accelerated  # type: ignore  # Hugging Face's ZeroGPU; returns the function unchanged elsewhere
except ImportError:

    def accelerated(function: Callable[..., Any]) -> Callable[..., Any]:
        return function


log = logging.getLogger(__name__)

# arriving may mean to wait for weights: nobody else should
LANES = {"edit": 1, "invert": 1, "open": 4, "draw": 1}
TOLD = (
    AlignmentError,
    CheckpointError,
    ConfigError,
    DecoderError,
    LatentsError,
    LinkError,
    PhotoError,
    ShareError,
    WeightsError,
)
BROKEN = "Something went wrong on the server; its operator finds the details in the log. Please try again."


def problem(error: Exception) -> dict[str, Any]:
    """What the page says about an error: ours in full, others without a word that gives something away."""
    if isinstance(error, TOLD):
        text = str(getattr(error, "public", error))
        return {"status": status(text[:1].upper() + text[1:], "problem")}
    log.exception("a handler failed", exc_info=error)
    return {"status": status(BROKEN, "problem")}


class Wiring:
    """Connects events to handlers by the names of the widgets."""

    def __init__(self, widgets: Mapping[str, Any]) -> None:
        self.widgets = widgets

    def __call__(
        self, triggers: Sequence[Any], method: Callable[..., Any], *place: Any, **options: Any
    ) -> Any:
        """`method` at every one of the triggers; `place` and `options` as in `_settings`."""
        return gr.on(triggers, **self._settings(method, *place, **options))

    def after(self, event: Any, method: Callable[..., Any], *place: Any, **options: Any) -> Any:
        """`method` when `event`, which this class made, is done."""
        return event.then(**self._settings(method, *place, **options))

    def _settings(
        self,
        method: Callable[..., Any],
        inputs: Sequence[str] = (),
        outputs: Sequence[str] = (),
        lane: str | None = "edit",
        **options: Any,
    ) -> dict[str, Any]:
        """`method(*values of inputs)`; what it returns goes to the widgets it names, all among `outputs`.

        The arguments `session`, `headers` and `index` (of what was selected), if the method has them, come
        from the request. LANES says how many run at once in each `lane` (the handlers also have a lock:
        lanes take turns, so that one visitor may drag while another's inversion runs); None answers at once,
        for what computes nothing.
        """
        limit = {"concurrency_id": lane, "concurrency_limit": LANES.get(lane or "")}
        queue = {"queue": False} if lane is None else limit
        return {
            "fn": self._function(method),
            "inputs": self.of(inputs),
            "outputs": self.of(outputs),
            "show_progress": "hidden",
            # nothing is shown, but Gradio would tell every output of every event that ever ran, at each event
            "show_progress_on": self.widgets["status"],
            "api_visibility": "private",
            **queue,
            **options,
        }

    def of(self, names: Sequence[str]) -> list[Any]:
        """The widgets with these names."""
        return [self.widgets[name] for name in names]

    def _function(self, method: Callable[..., Any]) -> Callable[..., Any]:
        wanted = [
            name for name in ("session", "headers", "index") if name in inspect.signature(method).parameters
        ]

        def extra(request: gr.Request, event: gr.EventData) -> dict[str, Any]:
            selected = (event._data or {}).get("index") if "index" in wanted else None
            known = {
                "session": request.session_hash or "",
                "headers": dict(request.headers),
                "index": selected,
            }
            return {name: known[name] for name in wanted}

        def named(update: Mapping[str, Any] | None) -> Any:
            return {self.widgets[name]: value for name, value in (update or {}).items()} or gr.skip()

        def once(request: gr.Request, event: gr.EventData, *values: Any) -> Any:
            try:
                return named(method(*values, **extra(request, event)))
            except Exception as error:
                return named(problem(error))

        def stream(request: gr.Request, event: gr.EventData, *values: Any) -> Iterator[Any]:
            yield gr.skip()  # a generator that yields nothing would empty all of its outputs
            try:
                for update in method(*values, **extra(request, event)):
                    yield named(update)
            except Exception as error:
                yield named(problem(error))

        return accelerated(stream if inspect.isgeneratorfunction(method) else once)
