"""Inverters compared on the same photographs: figures, matched edits, and what is kept between two runs."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from backends import losses
from backends.inverters.mean import Mean
from backends.photos import to_pil
from cli import main
from config import ConfigError
from editor import Editor
from evaluation import inversion, judges, photographs, similarity
from evaluation.edits import REACHED, TRIES, Trial, matched
from evaluation.inversion import Comparison, report
from evaluation.inversion_work import Work
from evaluation.photographs import names
from evaluation.settings import Evaluation, Inversions, MatchedEdit

CONFIGS = Path(__file__).parent / "configs"
EDITS = {
    "light": MatchedEdit("SeFa 1", "brightness", 0.02, again=True),
    "dark": MatchedEdit("SeFa 1", "brightness", -0.02),
}


def grey_features(images, *_):
    """In place of a network's: brightness of a few places."""
    return losses.resize(images.mean(1, keepdim=True).expand(-1, 3, -1, -1), 4).flatten(1)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.setattr(losses, "perceptual_features", lambda images, _="": [images])
    monkeypatch.setattr("evaluation.metrics.features", grey_features)
    lite2 = judges.Judge(grey_features, judges.angular, "efficientnet_lite2")
    monkeypatch.setattr(judges, "OTHERS", {"grey": lite2})
    monkeypatch.setattr(judges.weights, "prepare", lambda name: None)
    monkeypatch.setattr(similarity, "lpips_distance", lambda: None)


@pytest.fixture
def toy() -> Editor:
    return Editor.load("toy", CONFIGS)


@pytest.fixture
def folder(toy, tmp_path) -> Path:
    """Pictures that the toy can draw, so that inversions and edits mean something."""
    place = tmp_path / "photographs"
    place.mkdir()
    for number, picture in enumerate(to_pil(toy.generator.render(toy.generator.sample(list(range(8)))))):
        picture.save(place / f"{number}.png")
    return place


@pytest.fixture
def evaluation() -> Evaluation:
    settings = Inversions(EDITS, head=[0.5, 0.5, 0.3, 0.4])
    return Evaluation(scorers=[{"name": "colour"}], words={}, inversion=settings)


def compared(editor, evaluation, folder, labels, out):
    listed = names(folder)
    some = list(photographs.load(editor, folder, listed[:3]))
    others = list(photographs.load(editor, folder, listed[3:]))
    comparison = Comparison.of(editor, evaluation, some, others)
    return comparison, report(comparison, labels, out)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize("wanted", [-2.0, -0.3, 0.5, 4.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_match_is_found_within_the_ends(wanted, sign):
    calls = []

    def change(strength):
        calls.append(strength)
        return sign * (strength**3 / 3 + strength)

    strength, reached = matched(change, wanted, (-2.0, 2.0), rising=sign > 0)
    assert reached == pytest.approx(wanted, abs=0.05 * abs(wanted) + 1e-9)
    assert reached == pytest.approx(sign * (strength**3 / 3 + strength))
    assert len(calls) < TRIES
    assert all(-2 <= tried <= 2 for tried in calls)


def test_a_match_out_of_reach_is_as_near_as_one_gets():
    assert matched(lambda s: s / 10, 1.0, (-2.0, 3.0), rising=True) == (3.0, pytest.approx(0.3))
    # a score that turns back half way
    strength, reached = matched(lambda s: s * (2 - s), 1.5, (-2.0, 2.0), rising=True)
    assert (strength, reached) == (1.0, 1.0)


def test_a_report_compares_inverters_and_edits(toy, evaluation, folder, tmp_path):
    out = tmp_path / "out"
    comparison, figures = compared(toy, evaluation, folder, ["mean", "pivotal"], out)
    assert figures["pivotal"]["mse"] < figures["mean"]["mse"]
    table = rows(out / "inversions.csv")
    assert [(row["inverter"], row["photograph"]) for row in table] == [
        (label, f"{number}.png") for label in ("mean", "pivotal") for number in range(3)
    ]
    errors = [float(row["mse"]) for row in table if row["inverter"] == "mean"]
    assert sum(errors) / 3 == pytest.approx(figures["mean"]["mse"], rel=1e-4)
    edits = rows(out / "edits.csv")
    assert len(edits) == 2 * 3 * 2
    for row in edits:
        if row["reached"] == "True":
            wanted = float(row["wanted"])
            assert float(row["change"]) == pytest.approx(wanted, abs=REACHED * abs(wanted))
        assert (row["round_trip"] == "nan") == (row["edit"] == "dark")
    assert any(row["reached"] == "True" for row in edits)
    text = (out / "inversion.md").read_text()
    assert "| mean |" in text
    assert "identity grey / mean" in text
    with Image.open(out / "sheet_1.webp") as sheet:
        assert sheet.size == (4 * 192, 6 * 192 + 18)
    assert comparison.edits[0].figures["identity grey"] >= 0


def test_nothing_is_done_twice(toy, evaluation, folder, tmp_path, monkeypatch):
    """An inverter, an edit or a round trip can be added; the rest comes from the folder."""
    out, runs = tmp_path / "out", []
    original = Mean.invert

    def counted(self, images, generator, steps=None):
        runs.append("run")
        return original(self, images, generator, steps)

    monkeypatch.setattr(Mean, "invert", counted)
    once = Evaluation(scorers=evaluation.scorers, words={}, inversion=Inversions({"dark": EDITS["dark"]}))
    _, before = compared(toy, once, folder, ["mean"], out)
    assert len(runs) == 4  # one to load what is needed
    _, after = compared(toy, once, folder, ["mean"], out)
    assert len(runs) == 4
    assert after["mean"] == pytest.approx(before["mean"], nan_ok=True)
    compared(toy, evaluation, folder, ["mean"], out)
    assert len(runs) == 7  # the round trips of the other edit
    record = json.loads((out / "mean" / "0.json").read_text())
    assert set(record["edits"]) == {"light", "dark"}
    with monkeypatch.context() as without:
        without.setattr(Trial, "find", lambda *_: pytest.fail("looked for a strength again"))
        more = {"light": EDITS["light"], "dark": replace(EDITS["dark"], again=True)}
        compared(toy, replace(evaluation, inversion=Inversions(more)), folder, ["mean"], out)
    assert len(runs) == 10
    compared(Editor.load("toy", CONFIGS, ["generator.seed=1"]), once, folder, ["mean"], out)
    assert len(runs) == 14  # another generator: everything is done anew


def test_what_no_file_holds_is_inverted_again(toy, folder, tmp_path, monkeypatch):
    """A decoder that keeps more in memory than a latents file: the stored form has its own line."""
    [photograph] = photographs.load(toy, folder, ["0.png"])
    exact = photograph.images
    plain = toy.generator

    class Exact(type(plain)):
        def render(self, latents, preview=False):
            return exact + super().render(latents) - super().render(self.mean())

    original, runs = Mean.invert, []

    def invert(self, images, generator, steps=None):
        runs.append("run")
        for found in original(self, images, generator, steps):
            yield replace(found, generator=Exact())

    monkeypatch.setattr(Mean, "invert", invert)
    edits = {"dark": EDITS["dark"]}
    settings = Evaluation(scorers=[{"name": "colour"}], words={}, inversion=Inversions({}))
    others = list(photographs.load(toy, folder, ["4.png", "5.png"]))
    found = Comparison.of(toy, settings, [photograph], others)
    figures = report(found, ["mean"], tmp_path / "out")
    assert figures["mean"]["mse"] == 0
    table = rows(tmp_path / "out" / "inversions.csv")
    assert [row["inverter"] for row in table] == ["mean", "mean, stored"]
    assert [row["exact"] for row in table] == ["True", "False"]
    assert float(table[1]["mse"]) > 0.01
    before = len(runs)
    work = Work(toy, "mean", tmp_path / "out" / "mean", settings.built())
    work.done(photograph, edits)
    assert len(runs) == before + 1
    assert work.picture(photograph, "dark").shape == exact.shape


def test_the_command(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "evaluation"
    settings.mkdir()
    (settings / "toy.yaml").write_text(
        "scorers: [{name: colour}]\nwords: {}\ninversion:\n  edits:\n"
        "    light: {direction: SeFa 1, score: brightness, change: 0.02, again: true}\n"
        "    dark: {direction: SeFa 1, score: brightness, change: -0.02}\n"
    )
    original = inversion.settings.read
    monkeypatch.setattr(inversion.settings, "read", lambda domain: original(domain, settings))
    base = ["evaluate", "inversion", "--configs", str(CONFIGS), "--domain", "toy", "--photographs"]
    some = ["--count", "2", "--inverters", "mean", "--edits", "light", "--no-round-trip"]
    assert main([*base, "photographs", *some, "--out", "out"]) == 0
    assert {row["edit"] for row in rows(Path("out/edits.csv"))} == {"light"}
    assert {row["round_trip"] for row in rows(Path("out/edits.csv"))} == {"nan"}
    assert [row["photograph"] for row in rows(Path("out/inversions.csv"))] == ["0.png", "4.png"]
    assert main([*base, "photographs", *some[:-2], "bigger", "--out", "o"]) == 1
    assert "light, dark" in capfd.readouterr().err
    assert main([*base, "photographs", "--inverters", "nothing", "--out", "o"]) == 1
    assert "mean, pivotal" in capfd.readouterr().err
    assert main(["evaluate", "inversion", "--configs", str(CONFIGS), "--domain", "toy"]) == 1
    assert "needs --photographs" in capfd.readouterr().err
    assert not Path("o").exists()


def test_a_domain_without_evaluation_has_no_edits(caplog):
    assert inversion.wanted("nowhere") is None
    assert "no edits are compared" in caplog.text
    with pytest.raises(ConfigError):
        inversion.wanted("nowhere", "smile")


@pytest.mark.parametrize("domain", ["faces", "cats", "towers"])
def test_edits_of_the_domains_exist(domain):
    evaluation = inversion.wanted(domain)
    for edit in evaluation.inversion.edits.values():
        assert edit.direction in evaluation.sliders
        score, sign = evaluation.promise(edit.direction)
        assert edit.score == ("-" if sign < 0 else "") + score
    assert any(edit.again for edit in evaluation.inversion.edits.values())


def test_without_photographs_there_is_nothing_to_compare(toy, evaluation):
    with pytest.raises(ConfigError, match="must show a picture"):
        Comparison.of(toy, evaluation, [], [])


def test_the_baseline_must_be_compared(folder, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    some = ["--photographs", "photographs", "--inverters", "mean", "--baseline", "pivotal"]
    assert main(["evaluate", "inversion", "--configs", str(CONFIGS), "--domain", "toy", *some]) == 1
    assert "'pivotal' is not compared; there are: mean" in capfd.readouterr().err
