"""What the page shows of a visit and of a domain: from state to widgets."""

from dataclasses import asdict, replace
from typing import Any

import gradio as gr

from config import ConfigError
from directions import parse_layers
from editor import Editor
from ui import semantics, thumbnails
from ui.fetching import offer
from ui.models import Models
from ui.pictures import Picture, nothing, picture, status
from ui.semantics import Shown
from ui.state import Panel, Visit
from ui.thumbnails import Sheet
from ui.widgets import ALIGN, BY_HAND, CROP, WHOLE, Update

UNEDITED = "The picture before any edit"
MARKS = {"weak": "does hardly anything", "destroys": "mostly destroys the picture"}


def work(models: Models, visit: Visit, message: str) -> Update:
    """All three pictures and the sliders of what is being edited."""
    return {**figures(models, visit), **sliders(models, visit), "status": status(message, "done")}


def figures(models: Models, visit: Visit) -> Update:
    """All three pictures, and the switch between the whole photograph and the crop where there is one."""
    assert visit.work
    before = replace(visit.work, edit={})
    inversion = picture(models.render(visit.domain, before), UNEDITED)
    same = not visit.work.edit and not _whole(visit)
    return {
        "original": _original(visit),
        "inversion": inversion,
        "edited": inversion if same else edited(models, visit),
        "whole": gr.Radio(value=WHOLE if visit.whole else CROP, visible=visit.work.origin is not None),
        "look": gr.Checkbox(value=True, visible=visit.work.decoder is not None),
    }


def everything(models: Models, visit: Visit, message: str) -> Update:
    """All of a page whose visit has just been shown another domain, or another picture of it."""
    return {**settings(models, visit), **work(models, visit, message)}


def edited(models: Models, visit: Visit, preview: bool = False) -> Picture:
    """The picture after the edit, or the photograph with it."""
    assert visit.work
    moved = ", ".join(f"{name} {value:+.1f}" for name, value in visit.work.edit.items())
    alt = f"Edited picture: {moved}" if moved else UNEDITED
    if not _whole(visit):
        return picture(models.render(visit.domain, visit.work, preview), alt, passing=preview)
    return picture(models.photograph(visit.domain, visit.work, preview), alt, passing=preview, of=WHOLE)


def _original(visit: Visit) -> Picture:
    work = visit.work
    if work is None or work.origin is None:
        return nothing(
            "No photograph: generated" if work and work.seed is not None else "Photograph not shared"
        )
    if visit.whole:
        return picture(work.origin.shown, "The whole photograph", of=WHOLE)
    crop = visit.photo.crop if visit.photo else None
    return picture(crop, "The photograph, cropped") if crop else nothing("Photograph not kept")


def _whole(visit: Visit) -> bool:
    """Whether the whole photograph is shown."""
    return visit.whole and visit.work is not None and visit.work.origin is not None


def sliders(models: Models, visit: Visit) -> Update:
    """All sliders at the values of the edit, with the thumbnails that are there already."""
    edit = visit.work.edit if visit.work else {}
    bars = [_bar(each, edit.get(each.identity, 0.0)) for each in models.shown(visit.domain, visit.panel)]
    sheet = thumbnails.sheet(models.editor(visit.domain), visit.panel)
    return {"sliders": gr.update(value={"bars": bars}, sheet=asdict(sheet))}


def illustrated(sheet: Sheet) -> Update:
    """Only the thumbnails: what the visitor has moved meanwhile stays as it is."""
    return {"sliders": gr.update(sheet=asdict(sheet))}


def _bar(each: Shown, value: float) -> dict[str, Any]:
    """One row, as `assets/sliders.js` wants it."""
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


def settings(models: Models, visit: Visit) -> Update:
    """Everything that a domain decides, except pictures and sliders; and an empty place for a photograph."""
    with models.lock:  # what a generator is like may be known only from its weights
        editor = models.editor(visit.domain)
        inverter, detects = next(iter(editor.inverters)), editor.aligner.detects
        labels = [(f"Align to the {editor.domain.subject}", ALIGN), ("As it is: crop by hand", BY_HAND)]
        return {
            "domain": gr.Dropdown(choices=models.offered(), value=visit.domain),
            "note": editor.domain.note,
            "upload": None,
            "faces": gr.Gallery(None, visible=False),
            "invert": gr.Button(interactive=False),
            "framing": gr.Radio(choices=labels, value=ALIGN if detects else BY_HAND, visible=detects),
            "inverter": gr.Dropdown(choices=inverters(editor), value=inverter),
            "steps": steps(editor, inverter),
            "source": gr.Dropdown(choices=list(editor.sources), value=visit.panel.source),
            "layers": gr.Dropdown(choices=presets(editor), value=visit.panel.layers, allow_custom_value=True),
            "count": visit.panel.count,
            "keep": kept(editor, visit.panel),
        }


def kept(editor: Editor, panel: Panel) -> Any:
    """The check boxes for attributes that other sliders leave as they are; most sources have none."""
    names = semantics.conditions(editor, panel)
    return gr.CheckboxGroup(choices=names, value=list(panel.keep), visible=bool(names))


def inverters(editor: Editor) -> list[tuple[str, str]]:
    """The list of inverters, each with what its first use downloads."""
    offers = {label: offer(editor, inverter) for label, inverter in editor.inverters.items()}
    return [(f"{label} · {first}" if first else label, label) for label, first in offers.items()]


def steps(editor: Editor, inverter: str) -> Any:
    """The slider for an inverter's steps, at what its YAML says; hidden where a single look is all."""
    own = editor.inverter(inverter).steps
    return gr.Slider(minimum=1, maximum=max(1000, own), value=own, step=1, visible=own > 1)


def presets(editor: Editor) -> list[tuple[str, str]]:
    """What the list of layers offers; anything else that `parse_layers` reads may be typed."""
    offered = [("All layers", "all")]
    groups = [("Coarse: pose, shape", "coarse"), ("Middle: features", "middle"), ("Fine: colours", "fine")]
    for label, name in groups:
        try:
            chosen = parse_layers(name, editor.generator.layers, editor.generator.size)
        except ConfigError:
            continue  # too few layers to have such a group
        offered.append((f"{label} ({chosen[0]}-{chosen[-1]})", name))
    return offered


def running(now: bool) -> Update:
    """Invert turns into Stop while an inversion runs."""
    return {"invert": gr.Button(visible=not now), "stop": gr.Button(visible=now)}
