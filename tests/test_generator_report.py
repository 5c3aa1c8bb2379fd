"""What a domain is judged by: sheets, figures, and photographs that training did not see."""

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from backends import dataset
from backends.dataset import Data
from backends.generators import Generator
from editor import Editor
from evaluation.generator import held_out, report
from plugins import build
from training import _transfer as transfer


@pytest.fixture
def photographs(tmp_path: Path) -> Data:
    """Twelve pictures of noise with a colour each; half of them held out."""
    numbers = torch.Generator().manual_seed(0)
    (tmp_path / "photographs").mkdir()
    for i in range(12):
        pixels = torch.randint(0, 60, (32, 32, 3), generator=numbers) + torch.tensor([16 * i, 90, 0])
        picture = Image.fromarray(pixels.byte().numpy())
        picture.save(tmp_path / "photographs" / f"{i:02d}.png")
    return Data(str(tmp_path / "photographs"), holdout=6)


def test_held_out_photographs_are_inverted_and_edited(photographs: Data, tmp_path: Path) -> None:
    editor = Editor.load("toy", Path(__file__).parent / "configs")
    directions = list(editor.directions("SeFa").values())[:2]
    _, held = dataset.load(photographs, editor.generator.size)
    errors = held_out(editor.generator, editor.inverter(), directions, held, tmp_path, count=3, seconds=60)
    assert len(errors) == 3
    with Image.open(tmp_path / "held_out.webp") as sheet:
        assert sheet.size == (8 * editor.generator.size, 2 * editor.generator.size)  # 3 x 4 pictures, 8 a row
    with (tmp_path / "held_out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["photograph"] for row in rows] == ["01.png", "05.png", "09.png"]
    assert [float(row["mse"]) for row in rows] == pytest.approx(errors, abs=1e-4)
    # the toy's inverter gives the mean picture to all: the errors tell the photographs apart
    assert len({round(error, 4) for error in errors}) == 3


@pytest.mark.weights
@pytest.mark.parametrize("settings", [{"name": "toy", "size": 16}, {"name": "compact", "size": 16}])
def test_report_of_noise_is_far_from_photographs(photographs: Data, tmp_path: Path, settings: dict) -> None:
    """Of any generator, ours or another."""
    torch.manual_seed(0)
    if settings["name"] == "compact":
        state = transfer.scratch((32, 32)).state_dict()
        save_file(state, tmp_path / "noise.safetensors")
        settings = settings | {"weights": str(tmp_path / "noise.safetensors")}
    train, _ = dataset.load(photographs, 16)
    figures = report(build(Generator, settings, ""), train, tmp_path / "report", count=6)
    assert figures["samples"] == 6
    assert figures["fid_like"] > figures["fid_like_of_halves"] > 0
    assert figures["diversity"] > 0
    names = {path.name for path in (tmp_path / "report").iterdir()}
    assert names == {"samples_0.7.webp", "samples_1.0.webp", "nearest.webp", "figures.csv"}
    with Image.open(tmp_path / "report" / "nearest.webp") as sheet:
        assert sheet.size == (4 * 16, 10 * 16)
