"""Measured effects and the names made from them, on the toy domain."""

from pathlib import Path

import pytest
import torch

import evaluation
from directions import Direction
from editor import Editor
from evaluation import naming, tables
from evaluation.effects import Effect, Measure
from evaluation.report import report
from evaluation.settings import Evaluation, read
from plugins import ConfigError

CONFIGS = Path(__file__).parent / "configs"


@pytest.fixture
def toy():
    return Editor.load("toy", CONFIGS)


@pytest.fixture
def settings():
    words = {"brightness": ["brighter", "darker"], "warmth": ["warmer", "cooler"]}
    return Evaluation(scorers=[{"name": "colour"}], words=words, samples=12)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("backends.losses.descriptors", lambda images: images.flatten(1)[:, :128])


def effect(brightness, warmth, identity=1.0):
    changes = torch.tensor([brightness, warmth])
    return Effect(changes, torch.ones(2), identity, changes.abs())


def test_names_say_what_changes_most_and_which_way(settings):
    scores = ["brightness", "warmth"]
    named = naming.name("SeFa 3", effect(-0.8, 0.2), settings, scores)
    assert named.label == "darker (SeFa 3)"
    assert named.purity == pytest.approx(0.64 / 0.68, abs=1e-3)
    assert naming.name("SeFa 1", effect(0.05, 0.1), settings, scores).kind == "weak"
    assert naming.name("smile", effect(0.1, 0.9), settings, scores, own=True).label == "smile"


def test_a_zero_move_changes_nothing(toy, settings):
    measured = Measure(toy.generator, settings).effect(Direction.linear("none", torch.zeros(6, 16), -3, 3))
    assert measured.changes.abs().max() == 0
    assert measured.identity == 1


def test_effects_turn_with_the_direction(toy, settings):
    direction = next(iter(toy.directions("SeFa").values()))
    turned = Direction("back", lambda latents: -direction.step(latents), -3, 3)
    measure = Measure(toy.generator, settings)
    assert torch.allclose(measure.effect(direction).changes, -measure.effect(turned).changes, atol=1e-5)


def test_report_writes_tables_and_names_that_the_page_finds(toy, settings, tmp_path):
    assert evaluation.names(toy, "SeFa") == {}
    [summary] = report(toy, settings, ["SeFa"], tmp_path / "out")
    found = evaluation.names(toy, "SeFa")
    assert set(found) == set(toy.directions("SeFa"))
    assert summary.directions == len(found)
    assert 0 <= summary.diversity <= 1
    assert [named.kind for named in found.values()] == sorted(
        (named.kind for named in found.values()), key=lambda kind: kind != "named"
    )
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        f"directions.{kind}" for kind in ("csv", "md", "png")
    }
    lines = (tmp_path / "out" / "directions.csv").read_text().splitlines()
    assert len(lines) == 1 + len(found)


def test_names_belong_to_one_generator_and_one_setting(toy):
    source = toy.source("SeFa")
    assert naming.key("a", source) != naming.key("b", source)
    assert naming.key("a", source) != naming.key("a", toy.source("SeFa", layers="0-1"))
    assert naming.key("a", source) == naming.key("a", toy.source("SeFa", count=3))


def test_diversity_of_equal_and_of_different_directions():
    same = [tables.Row("s", str(i), "", effect(1.0, 0.0)) for i in range(3)]
    other = [tables.Row("s", "a", "", effect(1.0, 0.0)), tables.Row("s", "b", "", effect(0.0, 1.0))]
    assert tables.summary("s", same, [0, 1]).diversity == pytest.approx(0, abs=1e-6)
    assert tables.summary("s", other, [0, 1]).diversity == pytest.approx(1, abs=1e-6)


def test_domains_without_scorers_are_named():
    with pytest.raises(ConfigError, match="faces"):
        read("nothing")


def test_the_shipped_settings_can_be_read():
    evaluation_of_faces = read("faces", samples=3)
    assert evaluation_of_faces.samples == 3
    assert all(len(words) == 2 for words in evaluation_of_faces.words.values())


def test_the_face_domain_ships_named_directions():
    from directions._stored import read as stored

    editor = Editor.load("faces")
    listed = stored("weights/faces_attributes.safetensors")
    assert len(listed) >= 20
    assert {"older", "smile", "turn right", "look up", "masculine", "eyeglasses", "blond hair"} <= set(listed)
    assert next(iter(editor.sources)) == "Attributes"
    for source in ("Attributes", "SeFa"):
        assert evaluation.names(editor, source), f"{source} has no measured names"
    assert set(evaluation.names(editor, "Attributes")) == {f"Attributes/{name}" for name in listed}
