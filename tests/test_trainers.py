"""The contract of every trainer: exact resume, readable results, refused settings, named loss terms.

`tests/examples/trainers/NAME.yaml` holds the settings of a small run, and says which plugin reads its result.
"""

import csv
import io
import math
import zipfile
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import training
from backends.generators import Generator
from commands import train as command
from config import ConfigError
from directions import DirectionSource
from evaluation.scorers import Scorer
from plugins import build, names
from training import Trainer, read
from training._loop import Loop, Processes, train

ROOT = Path(__file__).parent.parent
KINDS = {"DirectionSource": DirectionSource, "Generator": Generator, "Scorer": Scorer}
every_trainer = pytest.mark.parametrize("name", names(Trainer))


def settings(name: str) -> dict[str, Any]:
    return yaml.safe_load((ROOT / "tests" / "examples" / "trainers" / f"{name}.yaml").read_text())


def data(folder: Path) -> None:
    """Twelve photographs: in a folder, and with two attributes in an archive."""
    (folder / "photographs").mkdir(parents=True)
    source = torch.Generator().manual_seed(0)
    with zipfile.ZipFile(folder / "photographs.zip", "w") as archive:
        archive.writestr(
            "attributes.csv",
            "file,Bright,Even\n"
            + "".join(f"{i:02d}.png,{int(i > 5)},{int(i % 2 == 0)}\n" for i in range(12)),
        )
        for i in range(12):
            pixels = torch.randint(10 * i, 10 * i + 130, (4, 4, 3), generator=source).byte().numpy()
            stream = io.BytesIO()
            Image.fromarray(pixels).resize((32, 32)).save(stream, "PNG")
            archive.writestr(f"{i:02d}.png", stream.getvalue())
            (folder / "photographs" / f"{i:02d}.png").write_bytes(stream.getvalue())


def config(name: str, folder: Path) -> Path:
    """The YAML of a small run in `folder`, beside its data."""
    data(folder)
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(settings(name)["settings"]).replace("TMP", str(folder)))
    return file


class StoppedRun(Exception):
    pass


def stopped(trainer: Trainer, at: int) -> None:
    """Train until step `at`, which is not done."""
    step = trainer.step

    def stopping(number: int, accelerator: Any) -> dict[str, float]:
        if number == at:
            raise StoppedRun
        return step(number, accelerator)

    trainer.step = stopping  # type: ignore[method-assign]
    with pytest.raises(StoppedRun):
        train(trainer)


@every_trainer
def test_a_stopped_run_continues_to_the_same_result(name: str, tmp_path: Path) -> None:
    """The step that is lost, after the last checkpoint, is done again."""
    whole = training.run(config(name, tmp_path / "whole"))
    file = config(name, tmp_path / "parts")
    often = ["every.checkpoint=2"]
    stopped(read(file, often), at=read(file).steps - 1)
    loop = Loop(read(file, often), Processes())
    loop.run()
    # trainers without parts leave a file a step instead of a checkpoint
    assert not loop.parts or (loop.trainer.checkpoint.is_file() and len(loop.rows) == 2)
    assert loop.trainer.result.read_bytes() == whole.read_bytes()


@every_trainer
def test_the_result_is_what_its_plugin_reads(name: str, tmp_path: Path) -> None:
    reader = settings(name)["reader"]
    kind = KINDS[reader.pop("kind")]
    result = training.run(config(name, tmp_path))
    key = "file" if kind is DirectionSource else "weights"
    plugin = build(kind, reader | {key: str(result)})
    if isinstance(plugin, DirectionSource):
        generator = build(Generator, settings(name)["settings"]["generator"])
        directions = plugin.directions(generator)
        latents = generator.sample([1, 2])
        assert directions
        assert all(direction.step(latents).abs().sum() > 0 for direction in directions)
    elif isinstance(plugin, Generator):
        assert plugin.synthesize(plugin.sample([1])).isfinite().all()
    else:
        assert isinstance(plugin, Scorer)
        scores = plugin.score(torch.rand(2, 3, 32, 32) * 2 - 1, ["", ""])
        assert scores.shape == (2, len(plugin.names))


@every_trainer
def test_every_loss_term_is_logged_by_its_name(name: str, tmp_path: Path) -> None:
    trainer = read(config(name, tmp_path), ["every.log=1"])
    train(trainer)
    log = trainer.checkpoint.with_name("losses.csv")
    if not trainer.losses:  # steps leave files instead
        assert not log.exists()
        return
    with log.open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == trainer.steps
    for term in trainer.losses:
        assert math.isfinite(float(rows[-1][term])), term


@every_trainer
def test_unknown_settings_and_terms_are_refused(name: str, tmp_path: Path) -> None:
    file = config(name, tmp_path)
    for key in ("nonsense", "losses.nonsense", "every.nonsense"):
        with pytest.raises(ConfigError, match="nonsense"):
            read(file, [f"{key}=1"])


@every_trainer
def test_building_loads_nothing(name: str, tmp_path: Path) -> None:
    """Also from a YAML whose data and generator are not there."""
    file = tmp_path / "bare.yaml"
    file.write_text(yaml.safe_dump(settings(name)["settings"]))
    trainer = read(file)
    assert not (Path.cwd() / "TMP").exists()
    assert trainer.result.name
    assert (type(trainer).__doc__ or "").strip()


@pytest.mark.parametrize("file", sorted((ROOT / "configs" / "training").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_configuration_builds(file: Path) -> None:
    assert read(file).folder.startswith("runs/")


def test_a_configuration_without_a_trainer_says_which_there_are(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for text in ("folder: x\n", "trainer: gun\nfolder: x\n"):
        file.write_text(text)
        with pytest.raises(ConfigError, match=r"mine\.yaml: trainer: .*there are: attributes, gan, "):
            read(file)


NEW = '''"""A trainer that counts."""
from dataclasses import dataclass
from pathlib import Path
from training import Trainer

@dataclass(kw_only=True)
class Counter(Trainer):
    """Writes how many steps it did."""
    steps: int = 5
    count: int = 0

    @property
    def result(self):
        return Path(self.folder) / "count.txt"

    def step(self, number, accelerator):
        self.count += 1
        return {"count": float(self.count)}

    def export(self):
        self.result.write_text(str(self.count))
'''


def test_a_new_file_is_a_new_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "counter.py").write_text(NEW)
    monkeypatch.setattr(training, "__path__", [*training.__path__, str(tmp_path)])
    file = tmp_path / "counter.yaml"
    file.write_text(f"trainer: counter\nfolder: {tmp_path}\n")
    assert command.run(Namespace(config=file, overrides=["steps=3"])) == 0
    assert (tmp_path / "count.txt").read_text() == "3"


def test_relative_folders_start_at_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trainer = read(ROOT / "configs" / "training" / "cats_latentclr.yaml")
    assert trainer.checkpoint == ROOT / "runs" / "cats_latentclr" / "state.pt"
    assert trainer.result == ROOT / "weights" / "cats_latentclr.safetensors"


def test_one_run_does_not_set_the_precision_of_the_next() -> None:
    """Accelerate would: its precision is one for the life of the program."""
    x = torch.ones(2, 2)
    types = []
    for half in (True, False, True):
        processes = Processes(half)
        with processes.autocast():
            types.append((x @ x).dtype)
    assert types == [torch.bfloat16, torch.float32, torch.bfloat16]
    assert processes.num_processes == 1
