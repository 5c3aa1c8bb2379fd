"""Measured effects and the names made from them, on the toy domain."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config import ConfigError
from directions import Direction, DirectionSource
from directions._stored import Stored, write
from editor import Editor
from evaluation import effects, naming, sliders, tables
from evaluation.directions import promising, report, sources
from evaluation.effects import Effect, Measure
from evaluation.settings import Evaluation, read
from ui import semantics, thumbnails
from ui.state import Panel

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
    return Effect(changes, torch.ones(2), identity)


def test_names_say_what_changes_most_and_which_way(settings):
    scores = ["brightness", "warmth"]
    named = naming.name("SeFa 3", effect(-0.8, 0.2), settings, scores)
    assert named.label == "darker (SeFa 3)"
    assert named.purity == pytest.approx(0.64 / 0.68, abs=1e-3)
    assert naming.name("SeFa 1", effect(0.05, 0.1), settings, scores).kind == "weak"
    assert naming.name("1:2", effect(0.05, 0.2), settings, scores, end=2.0).kind == "weak"
    assert naming.name("1:2", effect(0.05, 0.2), settings, scores, end=6.0).kind == "named"
    assert naming.name("smile", effect(0.1, 0.9), settings, scores).label == "smile"


def test_what_has_a_name_is_judged_by_its_promise(settings):
    """Not by whatever it happens to change most, and also by a score that gives no names to others."""
    scores, settings.sliders = ["brightness", "warmth"], {"dim": "-brightness", "warm": "warmth"}
    dim = naming.name("dim", effect(-0.5, 0.9), settings, scores)
    assert (dim.label, dim.effect) == ("dim", 0.5)
    assert dim.purity == pytest.approx(0.25 / 1.06, abs=1e-3)
    del settings.words["warmth"]
    assert naming.name("warm", effect(0.1, 0.9), settings, scores).purity == pytest.approx(
        0.81 / 0.82, abs=1e-3
    )
    assert naming.name("SeFa 1", effect(0.5, 0.9), settings, scores).purity == 1


def test_a_zero_move_changes_nothing(toy, settings):
    measured = Measure(toy.generator, settings).effect(Direction.linear("none", torch.zeros(6, 16), -3, 3))
    assert measured.changes.abs().max() == 0
    assert measured.identity == 1


def brighter(toy, strength=0.3):
    """Moves every latent up the gradient of its own picture's brightness."""

    def step(latents):
        with torch.enable_grad():
            leaf = latents.detach().requires_grad_()
            toy.generator.synthesize(leaf).mean().backward()
        return strength * torch.nn.functional.normalize(leaf.grad.flatten(1), dim=1).view_as(latents)

    return Direction("brighter", step, -1, 1)


def test_effects_have_the_sign_of_the_direction(toy, settings):
    up = brighter(toy)
    measure = Measure(toy.generator, settings)
    down = measure.effect(Direction("darker", lambda latents: -up.step(latents), -3, 3))
    found = measure.effect(up)
    column = measure.names.index("brightness")
    assert found.changes[column] > 0.1
    assert down.changes[column] < -0.1
    assert found.agreement[column] > 0.9


def test_a_score_that_rises_on_both_sides_has_no_effect(toy, settings, monkeypatch):
    """As contrast does when any move leads away from the mean."""
    measure = Measure(toy.generator, settings)
    moved = torch.ones(12, len(measure.names)), torch.ones(12, dtype=torch.bool)
    monkeypatch.setattr(measure, "moved", lambda *_: moved)
    assert measure.effect(brighter(toy)).changes.abs().max() == 0


def test_measured_effects_come_from_the_cache(toy, settings, monkeypatch):
    first = effects.measured(Measure(toy.generator, settings), brighter(toy))
    monkeypatch.setattr(Measure, "effect", lambda *_: pytest.fail("measured again"))
    again = effects.measured(Measure(toy.generator, settings), brighter(toy))
    assert torch.allclose(first.changes, again.changes)
    assert again.identity == first.identity
    keys = {
        effects.key(Measure(toy.generator, changed), direction)
        for changed in (settings, Evaluation(settings.scorers, settings.words, samples=12, step=0.5))
        for direction in (brighter(toy), brighter(toy, 0.6))
    }
    assert len(keys) == 4


def test_sliders_keep_what_their_names_promise_or_not(toy, settings, tmp_path):
    settings.sliders = {"brighter": "brightness", "darker": "-brightness", "warmer": "warmth"}
    up = brighter(toy, 0.5)
    tried = {
        "brighter": up,
        "darker": Direction("darker", up.step, -1, 1),  # does the opposite of its name
        "warmer": Direction.linear("warmer", torch.zeros(6, 16), 0, 1),  # does nothing
        "unnamed": up,
    }
    found = sliders.ends(Measure(toy.generator, settings), tried)
    bright, dark, warm = found
    assert all(end.kept for end in bright)
    assert all(end.right >= 0.9 for end in bright)
    assert bright[0].change < 0 < bright[1].change
    assert not any(end.kept for end in dark)
    assert dark[1].right == 0
    assert [end.kept for end in warm] == [True, False]  # it has one end
    sliders.write(tmp_path, found)
    lines = (tmp_path / "sliders.md").read_text().splitlines()
    assert lines[2].startswith("| brighter | -1, 1 |")
    assert [line.split(" | ")[-1] for line in lines[2:]] == ["yes |", "no |", "no |"]
    with (tmp_path / "sliders.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert (float(rows[1]["strength"]), float(rows[1]["right"])) == (1, bright[1].right)


def test_what_is_there_or_not_is_taken_from_pictures_that_have_it_and_added_to_others(toy, settings):
    settings.sliders, settings.binary, settings.samples = {"warmer": "warmth"}, ["warmer"], 6
    measure = Measure(toy.generator, settings)
    crowd = measure.more(sliders.MORE)
    warm = crowd.base.scores[:, measure.names.index("warmth")] > 0
    everyone = 6 * sliders.MORE
    having = crowd.having("warmth", 1, everyone)
    assert 0 < len(having.latents) == int(warm.sum()) < everyone == len(crowd.latents)
    assert torch.equal(having.latents, crowd.latents[warm])
    assert torch.equal(crowd.having("warmth", -1, 3).latents, crowd.latents[~warm][:3])
    assert torch.equal(
        toy.generator.sample(having.seeds, settings.truncation), having.latents
    )  # labels by name
    changes, same = having.moved(brighter(toy), torch.zeros(len(having.latents)))
    assert changes.abs().max() < 1e-3
    assert same.all()
    still = Direction.linear("warmer", torch.zeros(6, 16), -1, 1)
    [(low, high)] = sliders.ends(measure, {"warmer": still})
    assert low.tried == min(6, int(warm.sum()))
    assert high.tried == min(6, int((~warm).sum()))
    assert sliders._cells((low, high))[2] == f"{low.tried}, {high.tried}"


def test_report_writes_tables_and_names_that_the_page_finds(toy, settings, tmp_path):
    assert naming.measured(toy, toy.source("SeFa")) == {}
    [summary] = report(toy, settings, sources(toy, settings, ["SeFa"]), tmp_path / "out")
    found = naming.measured(toy, toy.source("SeFa"))
    assert {f"SeFa/{name}" for name in found} == set(toy.directions("SeFa"))
    assert summary.directions == len(found)
    assert 0 <= summary.diversity <= 1
    shown = semantics.shown(toy, Panel("SeFa", count=len(found)))
    assert {each.direction.name: each.named for each in shown} == found
    good = [each.named is not None and each.named.kind == "named" for each in shown]
    assert good == sorted(good, reverse=True)
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


def test_names_change_with_the_content_of_a_file(tmp_path):
    from directions.interfacegan import InterFaceGAN

    file = tmp_path / "mine.safetensors"
    source = InterFaceGAN(file=str(file))
    keys = {naming.key("a", source)}
    for content in (b"one", b"another"):
        file.write_bytes(content)
        keys.add(naming.key("a", source))
    assert len(keys) == 3
    assert len({naming.key("a", InterFaceGAN(files={"x": str(file)})), *keys}) == 4


def test_other_sources_are_compared_and_missing_files_left_out(toy, settings, tmp_path):
    settings.sources = {
        "SeFa coarse": {"name": "sefa", "layers": "0-1", "count": 2},
        "LatentCLR": {"name": "latentclr", "file": "weights/nowhere.pt"},
    }
    chosen = sources(toy, settings, ["SeFa coarse", "LatentCLR"])
    [summary] = report(toy, settings, chosen, tmp_path)
    assert summary.source == "SeFa coarse"
    assert set(sources(toy, settings)) == {*toy.sources, "SeFa coarse", "LatentCLR"}
    with pytest.raises(ConfigError, match="no source is called 'x'; there are: "):
        sources(toy, settings, ["x"])


def test_sliders_are_those_of_the_page(settings, tmp_path):
    """Also where a source that is only compared with has a direction of the same name."""
    for name, length in (("mine", 1.0), ("theirs", -1.0)):
        write(tmp_path / f"{name}.safetensors", {"smile": Stored(torch.full((1, 16), length).double())})
    yaml = (CONFIGS / "toy.yaml").read_text()
    mine = {"name": "interfacegan", "file": str(tmp_path / "mine.safetensors")}
    (tmp_path / "own.yaml").write_text(f"{yaml}  Attributes: {json.dumps(mine)}\n")
    own = Editor.load("own", tmp_path)
    settings.sources = {"Others": {"name": "interfacegan", "file": str(tmp_path / "theirs.safetensors")}}
    steps = {
        source: promising(own, settings, wanted)["smile"].step(own.generator.mean()).mean() > 0
        for source, wanted in (("page", ()), ("Others", ["Others"]))
    }
    assert steps == {"page": True, "Others": False}
    assert set(promising(own, settings)) == {"smile"}


def test_names_do_not_hang_on_conditions(toy, settings):
    """A source whose directions cannot be conditioned may still have named ones; numbers are no names."""

    class Colours(DirectionSource):
        def directions(self, generator):
            return [Direction.linear("warmer", torch.zeros(6, 16), -1, 1)]

    toy.sources["Colours"] = Colours()
    assert set(promising(toy, settings)) == {"warmer"}


def test_diversity_of_equal_and_of_different_directions():
    same = [tables.Row("s", str(i), "", effect(1.0, 0.0)) for i in range(3)]
    other = [tables.Row("s", "a", "", effect(1.0, 0.0)), tables.Row("s", "b", "", effect(0.0, 1.0))]
    assert tables.summary("s", same, [0, 1]).diversity == pytest.approx(0, abs=1e-6)
    assert tables.summary("s", other, [0, 1]).diversity == pytest.approx(1, abs=1e-6)


def test_domains_without_scorers_are_named():
    with pytest.raises(ConfigError, match="faces"):
        read("nothing")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"binary": ["smiel"]}, "'smiel' is not one of the sliders, which are: smile"),
        ({"words": {"brightness": ["brighter"]}}, "brightness: expected two"),
    ],
)
def test_misspelt_settings_are_refused(tmp_path, changed, words):
    content = {
        "scorers": [{"name": "colour"}],
        "words": {"brightness": ["brighter", "darker"]},
        "sliders": {"smile": "brightness"},
        "binary": ["smile"],
    }
    (tmp_path / "mine.yaml").write_text(json.dumps(content))  # JSON is YAML
    assert read("mine", tmp_path).binary == ["smile"]
    (tmp_path / "mine.yaml").write_text(json.dumps(content | changed))
    with pytest.raises(ConfigError, match=words):
        read("mine", tmp_path)


@pytest.mark.parametrize("changed", [{"words": {"light": ["a", "b"]}}, {"sliders": {"smile": "-light"}}])
def test_scores_that_nothing_measures_are_refused(toy, settings, changed):
    with pytest.raises(ConfigError, match="no score is called 'light'; there are: brightness"):
        Measure(toy.generator, replace(settings, **changed))


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
    assert set(naming.measured(editor, editor.source("Attributes"))) == set(listed)


@pytest.mark.parametrize("domain", ["faces", "cats", "towers"])
def test_every_source_of_our_own_domains_ships_names_and_thumbnails(domain):
    editor = Editor.load(domain)
    for source in editor.sources:
        named = naming.measured(editor, editor.source(source))
        assert named, f"{source} has no measured names: python cli.py evaluate directions --domain {domain}"
        panel = Panel(source, editor.source(source).layers)
        drawn = thumbnails.sheet(editor, panel).rows
        assert drawn >= len(named), f"{source}: python cli.py thumbnails --domain {domain}"
