"""The contract of every trainer: exact resume, readable results, refused settings, named loss terms.

`tests/examples/trainers/NAME.yaml` holds the settings of a small run, and says which plugin reads its result.
"""

import csv
import io
import math
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

import training
from backends.aligners import Aligner
from backends.generators import Generator
from backends.inverters import Inverter
from commands import train as command
from config import ConfigError
from directions import Direction, DirectionSource
from evaluation.scorers import Scorer
from plugins import build, names
from training import Trainer, read
from training._loop import Loop, Processes, train

ROOT = Path(__file__).parent.parent
# What reads results of trainers, and the proof that it can be used
READERS: dict[type, Callable[[Any, Generator], bool]] = {
    Aligner: lambda plugin, _: plugin.align(Image.new("RGB", (64, 48)), 32).size == (32, 32),
    DirectionSource: lambda plugin, generator: all_move(plugin.directions(generator), generator),
    Generator: lambda plugin, _: bool(plugin.synthesize(plugin.sample([1])).isfinite().all()),
    Inverter: lambda plugin, generator: inverts(plugin, generator),
    Scorer: lambda plugin, _: plugin.score(PICTURES, ["", ""]).shape == (2, len(plugin.names)),
}
PICTURES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
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


def all_move(directions: list[Direction], generator: Generator) -> bool:
    latents = generator.sample([1, 2])
    return bool(directions) and all(bool(each.step(latents).abs().sum() > 0) for each in directions)


def inverts(inverter: Inverter, generator: Generator) -> bool:
    *_, found = inverter.invert(generator.render(generator.sample([1])), generator)
    return bool(found.generator.render(found.latents).isfinite().all())


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
    kind = next(kind for kind in READERS if kind.__name__ == reader["kind"])
    result = training.run(config(name, tmp_path))
    own = {key: str(result) if value == "RESULT" else value for key, value in reader.items()}
    generator = build(Generator, settings(name)["settings"].get("generator", {"name": "toy"}))
    plugin = build(kind, {key: value for key, value in own.items() if key != "kind"})
    assert READERS[kind](plugin, generator)


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
        with pytest.raises(
            ConfigError, match=r"mine\.yaml: trainer: .*there are: attributes, encoder, gan, "
        ):
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
