"""Inverters compared on the same photographs: figures, matched edits, and what is kept between two runs."""

import csv
import json
import math
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageDraw

from backends import losses
from backends.aligners._framing import of_face
from backends.aligners.center import Center
from backends.aligners.landmarks import Landmarks
from backends.inverters.mean import Mean
from backends.inverters.optimize import Optimize
from backends.photos import to_pil
from cli import main
from config import ConfigError
from editor import Editor
from evaluation import inversion, judges, photographs, similarity
from evaluation.edits import REACHED, TRIES, background, matched, outside
from evaluation.inversion import Comparison, report
from evaluation.inversion_work import Work
from evaluation.photographs import Photograph, chosen, names, seen
from evaluation.settings import Evaluation, Inversions, MatchedEdit
from evaluation.similarity import compare, psnr, ssim

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


# which photographs, and what of them


def test_photographs_are_spread_over_what_is_asked_for(tmp_path):
    listed = [f"{number:03d}" for number in range(100)]
    assert chosen(listed, count=4) == ["000", "025", "050", "075"]
    assert chosen(listed, count=5, every=10) == ["000", "020", "040", "060", "080"]
    assert chosen(listed, held_out=4) == ["012", "037", "062", "087"]  # as `cli.py train` with data.holdout=4
    assert chosen(listed, count=1000) == listed
    with pytest.raises(ConfigError, match="--every must be at least 1"):
        chosen(listed, every=0)


def test_pictures_of_folders_and_archives_have_the_same_names(folder, tmp_path, toy):
    (folder / "notes.txt").write_text("no picture")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    listed = names(folder)
    assert names(tmp_path / "all.zip") == listed == [f"{number}.png" for number in range(8)]
    [one], [other] = (
        list(photographs.load(toy, place, ["3.png"])) for place in (folder, tmp_path / "all.zip")
    )
    assert one.digest == other.digest
    with pytest.raises(ConfigError, match="no folder and no zip archive"):
        names(tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="no pictures"):
        names(tmp_path / "empty")


def test_what_cannot_be_read_is_left_out(folder, toy, caplog):
    (folder / "8.png").write_bytes(b"no picture")
    assert [p.name for p in photographs.load(toy, folder, ["7.png", "8.png"])] == ["7.png"]
    assert "8.png is left out" in caplog.text


def test_what_the_aligner_continued_is_not_seen():
    """The mask against the square itself: places whose middle is outside of the photograph."""
    landmarks = [(0.0, 0.0)] * 68
    for point in range(36, 42):
        landmarks[point] = (60.0, 40.0)
    for point in range(42, 48):
        landmarks[point] = (100.0, 50.0)
    landmarks[48], landmarks[54] = (58.0, 88.0), (80.0, 92.0)
    photo = Image.new("RGB", (150, 130), "gray")
    ImageDraw.Draw(photo).rectangle((50, 30, 110, 110), fill="red")
    aligner, subject = Landmarks(), photographs.Subject((40, 20, 120, 110), tuple(landmarks))
    crop = aligner.crop(photo, subject, 64)
    mask = seen(aligner, photo, subject, crop)
    axis = (torch.arange(64) + 0.5) / 64
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), 2).flatten(0, 1)
    x, y = of_face(landmarks).to_photo(grid.numpy()).T
    inside = torch.from_numpy((x > 0) & (x < 150) & (y > 0) & (y < 130)).view(64, 64)
    assert 0.2 < float(inside.float().mean()) < 0.9
    assert float((mask != inside).float().mean()) < 0.02  # along the edge
    square = photo.crop((0, 0, 130, 130))
    whole = Center()
    assert seen(whole, photo, whole.detect(photo)[0], whole.align(photo, 64)).all()
    assert seen(aligner, square, subject, square.resize((64, 64), photographs.LANCZOS, reducing_gap=3)).all()


# figures


def test_ssim_is_that_of_an_independent_implementation():
    reference = pytest.importorskip("skimage.metrics").structural_similarity
    source = torch.Generator().manual_seed(0)
    a = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8, generator=source), size=40) * 2 - 1
    b = (a + 0.3 * torch.randn(1, 3, 40, 40, generator=source)).clamp(-1, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 2.0}
    expected = reference(a[0].double().numpy(), b[0].double().numpy(), channel_axis=0, **settings)
    assert float(ssim(a, b)) == pytest.approx(expected, abs=1e-5)
    assert float(ssim(a, a)) == pytest.approx(1)
    assert 0 < expected < 0.9


def test_only_what_is_seen_counts():
    photograph, picture = torch.zeros(2, 1, 3, 32, 32)
    picture[..., 16:] = 0.5
    left, right = torch.zeros(2, 32, 32, dtype=torch.bool)
    left[:, :10], right[:, 22:] = True, True
    assert compare(picture, photograph, left)["mse"] == 0
    assert compare(picture, photograph, left)["psnr"] == pytest.approx(100)
    assert compare(picture, photograph, left)["ssim"] == pytest.approx(1)
    figures = compare(picture, photograph, right)
    assert figures["mse"] == pytest.approx(0.25)
    assert figures["mse_whole"] == pytest.approx(0.125)
    assert figures["psnr"] == pytest.approx(12.041, abs=1e-3)
    assert figures["ssim"] < 0.5


def test_psnr_is_of_the_whole_range():
    assert psnr(4.0) == pytest.approx(0)
    assert psnr(0.04) == pytest.approx(20)


def test_lpips_is_used_where_its_package_is(monkeypatch, caplog):
    monkeypatch.undo()
    similarity.lpips_distance.cache_clear()
    monkeypatch.setitem(sys.modules, "lpips", None)
    assert similarity.lpips_distance() is None
    assert "LPIPS is not measured" in caplog.text
    similarity.lpips_distance.cache_clear()

    class LPIPS(torch.nn.Module):
        def __init__(self, net: str, verbose: bool) -> None:
            super().__init__()

        def forward(self, a, b):
            return (a - b).abs().mean()

    monkeypatch.setitem(sys.modules, "lpips", types.SimpleNamespace(LPIPS=LPIPS))
    distance = similarity.lpips_distance()
    similarity.lpips_distance.cache_clear()
    assert float(distance(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4))) == 1


def test_judges_know_inverters_that_look_through_their_network():
    dlib = judges.FACES["dlib"]
    assert dlib.knows(Optimize(losses={"pixel": 1.0, "identity": 1.0}))
    assert not dlib.knows(Optimize(losses={"pixel": 1.0, "identity": 0.0}))
    assert not dlib.knows(Mean())


def test_a_judge_whose_weights_cannot_be_had_is_left_out(monkeypatch, caplog):
    def prepare(name):
        if name == "face_judge":
            raise judges.weights.WeightsError("npm is not installed")

    monkeypatch.setattr(judges.weights, "prepare", prepare)
    assert list(judges.of("face")) == ["dlib"]
    assert "MobileFace does not judge identity: npm is not installed" in caplog.text


def test_distances_of_judges():
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    assert float(judges.euclidean(a, b)) == 5
    assert float(judges.angular(a, b)) == 1
    assert float(judges.angular(a, 7 * a)) == pytest.approx(0)


# matched edits


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


def test_background_is_outside_the_head_and_seen():
    mask = torch.ones(20, 20, dtype=torch.bool)
    mask[:, :10] = False
    photograph = Photograph("a.png", Image.new("RGB", (20, 20), "black"), mask)
    picture = photograph.images.clone()
    head = [0.5, 0.5, 0.25, 0.25]
    picture[..., ~outside(head, 20)] = 1  # only the head changes
    assert background(picture, photograph, head) == 0
    picture[..., :10] = 1  # and what the aligner has drawn
    assert background(picture, photograph, head) == 0
    picture[..., 10:] = -1 + 2 / 255
    assert background(picture, photograph, head) == pytest.approx(1, abs=1e-3)
    assert math.isnan(background(picture, photograph, []))


# the whole


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
    compared(Editor.load("toy", CONFIGS, ["generator.seed=1"]), once, folder, ["mean"], out)
    assert len(runs) == 11  # another generator: everything is done anew


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
    assert figures["mean"]["mse"] == pytest.approx(0, abs=1e-5)
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
