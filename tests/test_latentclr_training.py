"""LatentCLR: the loss against its definition, and training of all three models on the toy generator."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional

import training
from backends.generators.toy import Toy
from config import ConfigError
from directions.latentclr import LatentCLR
from training import latentclr

CONFIG = """
trainer: latentclr
generator: {{name: toy, size: 16}}
folder: {folder}/run
out: {folder}/directions.safetensors
layer: 3
directions: 4
batch: 6
steps: 40
rate: 0.05
components: 12
alpha: [-1.0, 1.0]
every: {{log: 10, checkpoint: 10}}
"""


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))


@pytest.fixture
def config(tmp_path) -> Path:
    file = tmp_path / "toy.yaml"
    file.write_text(CONFIG.format(folder=tmp_path))
    return file


def test_the_loss_is_its_definition():
    """Pair by pair, as the paper writes it (section 3.2)."""
    changes = torch.randn(3, 4, 50, generator=torch.Generator().manual_seed(0))
    total, right = 0.0, 0
    for k in range(3):
        for i in range(4):
            cosines = functional.cosine_similarity(changes[k, i], changes, dim=2).abs()
            similar = (0.5 * cosines).exp()
            own = torch.tensor([float(similar[k, j]) for j in range(4) if j != i]).mean()
            other = torch.cat([similar[m] for m in range(3) if m != k]).mean()
            total -= float(torch.log(own / other)) / 12
            right += int(own > other)
    loss, accuracy = latentclr.contrast(changes, 0.5)
    assert float(loss) == pytest.approx(total, abs=1e-6)
    assert accuracy == pytest.approx(right / 12)


def test_the_loss_falls_when_changes_agree():
    changes = torch.eye(3)[:, None].expand(3, 4, 3)
    assert float(latentclr.contrast(changes, 0.5)[0]) == pytest.approx(-0.5)
    loss, accuracy = latentclr.contrast(torch.ones(3, 4, 5), 0.5)
    assert float(loss) == pytest.approx(0, abs=1e-6)
    assert accuracy == 0


@pytest.mark.parametrize(("model", "rate"), [("global", 0.05), ("linear", 0.01), ("nonlinear", 0.05)])
def test_training_sets_directions_apart(config, model, rate):
    """Measured on latents that were not trained on, by the directions as the page uses them."""
    file = training.run(config, [f"model={model}", f"rate={rate}", "steps=100"])
    toy = Toy(size=16)
    directions = LatentCLR(file=str(file)).directions(toy)
    assert len(directions) == 4
    latents = toy.sample(list(range(9000, 9016)))
    before = toy.activations(latents, 3)
    changes = [toy.activations(latents + direction.step(latents), 3) - before for direction in directions]
    loss, accuracy = latentclr.contrast(torch.stack(changes).flatten(2), 0.5)
    assert accuracy > 0.5
    assert float(loss) < -0.008


def test_an_interrupted_run_continues_where_it_was(config, tmp_path):
    whole = training.run(config).read_bytes()
    (tmp_path / "run" / "state.pt").unlink()
    training.run(config, ["steps=20"])
    assert training.run(config).read_bytes() == whole


def test_a_folder_of_another_run_is_refused(config):
    training.run(config, ["steps=10"])
    with pytest.raises(ConfigError, match="other settings"):
        training.run(config, ["steps=10", "directions=5"])


def test_no_two_directions_are_alike(config):
    """Also not when training begins with copies, and the loss alone would leave them."""
    model = latentclr.Global(3, 10, orthogonal=True)
    with torch.no_grad():
        model.params[1] = model.params[0] + 0.01 * torch.randn(10)
    torch.testing.assert_close(model.vectors() @ model.vectors().T, torch.eye(3), atol=1e-4, rtol=0)
    file = training.run(config, ["orthogonal=true"])
    trainer = training.read(config)
    assert isinstance(trainer, latentclr.LatentCLR)
    moves = load_file(file)["params"] @ torch.linalg.pinv(trainer.basis)
    cosines = functional.normalize(moves, dim=1) @ functional.normalize(moves, dim=1).T
    torch.testing.assert_close(cosines, torch.eye(4), atol=1e-3, rtol=0)
    for wrong, message in [(["model=linear"], "model: global"), (["directions=13"], "no more than 12")]:
        with pytest.raises(ConfigError, match=message):
            training.run(config, ["orthogonal=true", *wrong])


def test_folding_keeps_what_a_model_does():
    basis = torch.randn(10, 16, generator=torch.Generator().manual_seed(1))
    w = torch.randn(5, 16, generator=torch.Generator().manual_seed(2))
    for model in (
        latentclr.Global(3, 10),
        latentclr.Global(3, 10, orthogonal=True),
        latentclr.Conditional(3, 16, 10),
        latentclr.Conditional(3, 16, 10, depth=3),
    ):
        model.eval()
        with torch.no_grad():
            wanted = model(w) @ basis
            model.fold(basis)
            torch.testing.assert_close(model(w), wanted, rtol=1e-3, atol=1e-4)


def test_only_the_edited_layers_move(config):
    """Maps before them do not change, so that there is nothing to contrast."""
    for layers, moves in (("4-5", False), ("2-5", True)):
        trainer = training.read(config, [f"edited={layers}", "layer=3", "components=0"])
        assert isinstance(trainer, latentclr.LatentCLR)
        assert bool(trainer.changes(0).any()) == moves
