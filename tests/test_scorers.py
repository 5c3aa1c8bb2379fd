"""Scorers: what they measure on pictures whose answer is known, and labels from a table."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from config import ConfigError
from evaluation import scorers
from evaluation.scorers import Scorer
from evaluation.scorers.attributes import LEFT, TOP, WIDTH, celeba_frame
from evaluation.scorers.pose import angles
from plugins import build, find, names


@pytest.mark.parametrize("name", names(Scorer))
def test_every_module_is_one_scorer(name):
    assert issubclass(find(Scorer, name), Scorer)


def test_colour_tells_light_from_dark_and_warm_from_cold():
    colour = build(Scorer, {"name": "colour"})
    pictures = torch.full((3, 3, 32, 32), -0.5)
    pictures[1] += 0.8  # brighter
    pictures[2, 0] += 0.6  # redder
    dark, light, red = (
        dict(zip(colour.names, row.tolist(), strict=True)) for row in colour.score(pictures, ["a"] * 3)
    )
    assert light["brightness"] - dark["brightness"] == pytest.approx(0.4, abs=1e-5)
    assert dark["contrast"] == pytest.approx(0, abs=1e-5)
    assert red["warmth"] == pytest.approx(0.3, abs=1e-5)
    assert red["saturation"] == pytest.approx(0.3, abs=1e-5)
    assert dark["saturation"] == pytest.approx(0, abs=1e-5)


def test_colour_tells_background_from_subject():
    colour = build(Scorer, {"name": "colour"})
    picture = torch.full((1, 3, 64, 64), -1.0)
    picture[:, :, 20:44, 20:44] = 1.0
    scores = dict(zip(colour.names, colour.score(picture, ["a"])[0].tolist(), strict=True))
    assert scores["background brightness"] == pytest.approx(0, abs=1e-5)
    assert scores["subject brightness"] > 0.9


def face(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Landmarks of a schematic head, turned: only those that `angles` reads are there."""
    points = np.zeros((68, 3))
    points[36], points[45] = (-0.5, 0, 0), (0.5, 0, 0)
    points[8] = (0, 1.34, 0)
    points[30] = (0, 0.3125 * 1.34, 0.55)
    x, y, z = np.radians([pitch, yaw, roll])
    turn_y = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    turn_x = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    turn_z = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    return 100 + 60 * (points @ (turn_z @ turn_y @ turn_x).T)[:, :2]


@pytest.mark.parametrize(
    ("yaw", "pitch", "roll"), [(0, 0, 0), (25, 0, 0), (-25, 0, 0), (0, 15, 0), (0, -15, 0), (0, 0, 8)]
)
def test_angles_of_a_turned_head(yaw, pitch, roll):
    assert angles(face(yaw, pitch, roll)) == pytest.approx([yaw, pitch, roll], abs=4)


def test_table_gives_labels_by_name(tmp_path):
    file = tmp_path / "labels.csv"
    file.write_text("sample,cat,dog\nseed 7,1,0\n8,0.5,\n")
    table = build(Scorer, {"name": "table", "file": str(file)})
    scores = table.score(torch.zeros(3, 3, 8, 8), ["seed 7", "seed 8", "seed 9"])
    assert table.names == ["cat", "dog"]
    assert scores[0].tolist() == [1, 0]
    assert scores[1, 0] == 0.5
    assert scores[1:, 1].isnan().all()
    assert scores[2].isnan().all()


@pytest.mark.parametrize("text", ["", "sample\n7\n", "sample,cat\n7,black\n", "sample,cat\n7,1,2\n"])
def test_tables_that_cannot_be_read_are_refused(tmp_path, text):
    file = tmp_path / "labels.csv"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"labels\.csv"):
        build(Scorer, {"name": "table", "file": str(file)}).names  # noqa: B018


def test_scores_stand_side_by_side_and_names_once(tmp_path):
    colour = build(Scorer, {"name": "colour"})
    file = tmp_path / "labels.csv"
    file.write_text("sample,fur\na,2\n")
    table = build(Scorer, {"name": "table", "file": str(file)})
    assert scorers.names([colour, table]) == [*colour.names, "fur"]
    assert scorers.score([colour, table], torch.zeros(1, 3, 16, 16), ["a"]).shape == (1, 7)
    with pytest.raises(ValueError, match="brightness"):
        scorers.names([colour, colour])


def test_the_frame_of_celeba_scales_with_the_picture():
    grid = torch.linspace(0, 1, 256).expand(1, 3, 256, 256)
    frame = celeba_frame(grid)
    assert frame.shape[2] == frame.shape[3] == round(256 * WIDTH)
    assert float(frame[0, 0, 0, 0]) == pytest.approx(LEFT, abs=0.01)
    assert TOP + WIDTH < 1


@pytest.mark.weights
def test_attributes_are_shipped_for_both_networks():
    images = torch.rand(2, 3, 64, 64) * 2 - 1
    for entry in ("faces_scorer", "faces_judge"):
        attributes = build(Scorer, {"name": "attributes", "weights": entry})
        scores = attributes.score(images, ["a", "b"])
        assert len(attributes.names) == 40
        assert scores.shape == (2, 40)
        assert scores.isfinite().all()
        assert not torch.equal(scores[0], scores[1])
        few = build(Scorer, {"name": "attributes", "weights": entry, "only": "smiling, young"})
        assert few.score(images, ["a", "b"]).tolist() == scores[:, [31, 39]].tolist()


def test_heads_are_small():
    tensors = load_file("weights/faces_scorer.safetensors")
    assert sum(t.numel() * t.element_size() for t in tensors.values()) < 1_000_000
