"""Properties of widgets that depend on the domain: choices, ranges, labels. Names are those of `layout`."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import gradio as gr

from config import ConfigError
from directions import parse_layers
from editor import Editor
from ui.fetching import offer
from ui.links import Panel
from ui.semantics import Shown, keepable

Update = dict[str, Any]
Bars = dict[str, list[dict[str, Any]]]
MARKS = {"weak": "does hardly anything", "destroys": "mostly destroys the picture"}


def default_steps(editor: Editor, inverter: str) -> int | None:
    """The `steps` setting of an inverter; None when it has none (an encoder looks once)."""
    plugin = editor.inverter(inverter)
    settings = {field.name: getattr(plugin, field.name) for field in fields(plugin)}  # type: ignore[arg-type]
    return settings.get("steps")


def settings(editor: Editor, shown: Panel) -> Update:
    """Everything a domain decides, except pictures and sliders."""
    domain = editor.domain
    aligned = domain.aligner.get("name") != "center"
    labels = [(f"Align to the {domain.subject}", "align"), ("As it is: crop by hand", "center")]
    return {
        "domain": editor.name,
        "note": domain.note,
        "framing": gr.Radio(choices=labels, value="align" if aligned else "center", visible=aligned),
        "inverter": gr.Dropdown(choices=inverters(editor), value=next(iter(editor.inverters))),
        "steps": steps(editor, next(iter(editor.inverters))),
        "source": gr.Dropdown(choices=list(editor.sources), value=shown.source),
        "layers": gr.Dropdown(choices=presets(editor), value=shown.layers, allow_custom_value=True),
        "count": shown.count,
        "keep": kept(editor, shown),
    }


def kept(editor: Editor, shown: Panel) -> Any:
    """The check boxes for attributes that other sliders leave as they are; most sources have none."""
    names = keepable(editor, shown)
    return gr.CheckboxGroup(
        choices=names, value=[name for name in shown.keep if name in names], visible=bool(names)
    )


def inverters(editor: Editor) -> list[tuple[str, str]]:
    """The list of inverters, each with what its first use downloads."""
    offers = {label: offer(editor, inverter) for label, inverter in editor.inverters.items()}
    return [(f"{label} · {first}" if first else label, label) for label, first in offers.items()]


def steps(editor: Editor, inverter: str) -> Any:
    """The slider for an inverter's steps, at what its YAML says."""
    default = default_steps(editor, inverter)
    if default is None:
        return gr.Slider(visible=False)
    return gr.Slider(minimum=1, maximum=max(1000, default), value=default, step=1, visible=True)


def presets(editor: Editor) -> list[tuple[str, str]]:
    """What the list of layers offers; anything else that `parse_layers` reads may be typed."""
    offered = [("All layers", "all")]
    groups = [("Coarse: pose, shape", "coarse"), ("Middle: features", "middle"), ("Fine: colours", "fine")]
    for label, name in groups:
        try:
            rows = parse_layers(name, editor.generator.layers, editor.generator.size)
        except ConfigError:
            continue  # too few layers to have such a group
        offered.append((f"{label} ({rows[0]}-{rows[-1]})", name))
    return offered


def sliders(listed: Sequence[Shown], edit: Mapping[str, float]) -> Bars:
    """Value of the sliders: one row a direction, as `ui/sliders.js` wants them."""
    return {"bars": [_bar(each, edit.get(each.identity, 0.0)) for each in listed]}


def _bar(each: Shown, value: float) -> dict[str, Any]:
    low, high = each.ends
    return {
        "identity": each.identity,
        "label": each.label,
        "low": low,
        "high": high,
        "step": 0.05 if high - low > 2 else round((high - low) / 120, 4),
        "value": min(max(value, low), high),
        "row": each.row,
        "purity": each.named.purity if each.named else None,
        "kind": each.named.kind if each.named else "unknown",
        "mark": MARKS.get(each.named.kind, "") if each.named else "",
        "note": each.direction.note,
    }


def running(now: bool) -> Update:
    """Invert turns into Stop while an inversion runs."""
    return {"invert": gr.Button(visible=not now), "stop": gr.Button(visible=now)}
