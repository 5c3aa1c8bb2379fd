"""Which photographs inverters are compared on, and the figures of a picture against one."""

import math
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from backends import losses
from backends.aligners.center import Center
from backends.inverters.mean import Mean
from backends.inverters.optimize import Optimize
from backends.squares import Square
from config import ConfigError
from editor import Editor
from evaluation import judges, photographs, similarity
from evaluation.edits import background, outside
from evaluation.inversion_tables import TIMES, EditRow, InversionRow, Tables
from evaluation.photographs import Photograph, chosen, names
from evaluation.settings import Inversions, MatchedEdit
from evaluation.similarity import compare, psnr, ssim

FIGURES = ("mse", "mse_whole", "psnr", "ssim", "perceptual", "lpips", "bytes", "identity dlib", *TIMES)


@pytest.fixture(autouse=True)
def _no_weights(monkeypatch):
    monkeypatch.setattr(losses, "perceptual_features", lambda images, _="": [images])
    monkeypatch.setattr(similarity, "lpips_distance", lambda: None)


@pytest.fixture
def toy() -> Editor:
    return Editor.load("toy", Path(__file__).parent / "configs")


@pytest.fixture
def folder(tmp_path) -> Path:
    place = tmp_path / "photographs"
    place.mkdir()
    for number in range(8):
        Image.effect_noise((70, 60), 80).convert("RGB").save(place / f"{number}.png")
    return place


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
    """Against the pixels of a white photograph on a black ground that needs no continuing."""
    square = Square((70.0, 50.0), (60.0, 20.0))
    ground = Image.new("RGB", (450, 430), "black")
    ground.paste("white", (150, 150, 300, 280))
    shown = np.asarray(Center().crop(ground, square.moved((150, 150), (1, 1)), 64).convert("L")) > 127
    assert 0.2 < shown.mean() < 0.9
    assert (square.shown((150, 130), 64) != shown).mean() < 0.01  # along the edge
    assert Square.of_box((0, 0, 130, 130)).shown((150, 130), 64).all()


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


def edited(inverter, photograph, distance, reached=True):
    figures = dict.fromkeys(("strength", "change", "others", "background", "round_trip"), -1.0)
    return EditRow(inverter, photograph, "smile", reached, figures | {"identity dlib": distance})


def test_identity_is_compared_where_both_inverters_reached_the_change():
    rows = [edited("a", "1", 0.4), edited("a", "2", 0.6), edited("a", "3", 0.8, reached=False)]
    rows += [edited("b", "1", 0.1), edited("b", "2", 0.9, reached=False), edited("b", "3", 0.9)]
    inversions = [
        InversionRow(name, "1", name == "b", dict.fromkeys(FIGURES, 0.25)) for name in ("a", "b", "b, stored")
    ]
    settings = Inversions({"smile": MatchedEdit("smile", "smiling", 4)}, published={"PTI": {"mse": 0.0082}})
    judged = ["identity dlib"]
    tables = Tables(inversions, rows, judged, {"a": [], "b": judged}, {"a": 7.0}, settings, "a")
    assert tables.ratio("b", "smile", "identity dlib") == pytest.approx(0.25)
    assert math.isnan(tables.ratio("b", "older", "identity dlib"))
    assert "| smile | b | 2 of 3 | 1.000 | 1.000 | 0.500* | 1.000 | 1.0 | 1.0000 | 0.250 | - |" in (
        tables.edit_table()
    )
    lines = tables.inversion_table().splitlines()
    assert lines[0].startswith("| inverter | MSE | MSE, padding too | PSNR |")
    assert lines[4].startswith("| b, stored | 0.2500 |")
    assert ["0.250*" in line for line in lines[2:5]] == [False, True, True]
    assert lines[5].startswith("| PTI (published) | 0.0082 | - | - |")
