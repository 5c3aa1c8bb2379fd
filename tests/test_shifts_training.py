"""Deformator and warps: training on the toy generator, and the directions that come of it."""

import csv

import pytest
import torch

import training
from backends.generators.toy import Toy
from config import ConfigError
from directions.deformator import Deformator
from directions.warped import Warped, Warps
from training.shifts import Shifts

TOY = Toy(size=8)
CONFIG = """
trainer: shifts
generator: {{name: toy, size: 8}}
folder: {folder}/run
out: {folder}/directions.safetensors
directions: 3
components: 6
pairs: 2
pixels: 8
width: 8
batch: 12
steps: 60
every: {{log: 20, checkpoint: 20}}
rate: 0.01
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "toy.yaml"
    file.write_text(CONFIG.format(folder=tmp_path))
    return file


def test_linear_directions_are_recognised(config, tmp_path):
    file = training.run(
        config, ["truncation=0", "steps=30", "every.log=1"]
    )  # from one latent: quick to learn
    with (tmp_path / "run" / "losses.csv").open() as log:
        last = float(list(csv.DictReader(log))[-1]["accuracy"])
    assert last > 0.7  # of three directions chance finds a third
    directions = Deformator(file=str(file)).directions(TOY)
    assert [direction.name for direction in directions] == ["Deformator 1", "Deformator 2", "Deformator 3"]
    assert "accuracy" in directions[0].note
    trainer = training.read(config)
    assert isinstance(trainer, Shifts)
    model = trainer.directions_model
    whitened = model.vectors() @ torch.linalg.pinv(model.basis)
    torch.testing.assert_close(whitened @ whitened.T, torch.eye(3), atol=1e-4, rtol=0)


def test_bent_directions_depend_on_the_latent(config):
    file = training.run(config, ["model=warps", "steps=10"])
    source = Warped(file=str(file), layers="1-2")
    direction = source.directions(TOY)[1]
    latents = TOY.sample([1, 2])
    steps = direction.step(latents)
    assert direction.name == "Warp 2"
    assert not torch.allclose(steps[0], steps[1], atol=1e-3)
    assert steps[0].norm(dim=1).nonzero().flatten().tolist() == [1, 2]
    torch.testing.assert_close(source.find(TOY, "Warp 2").step(latents), steps)
    with pytest.raises(ConfigError, match=r"Warp 1 \.\.\. Warp 3"):
        source.find(TOY, "Warp 4")


def test_a_warp_is_the_gradient_of_its_gaussians():
    torch.manual_seed(0)
    warps = Warps(2, 3, torch.eye(5), torch.zeros(5))
    w = torch.randn(4, 5, requires_grad=True)
    gamma = warps.width[1].exp() / 5
    distances = ((w[:, None] - sign * warps.support[1]).square().sum(2) for sign in (1, -1))
    up, down = (torch.exp(-gamma * distance) for distance in distances)
    (warps.weight[1] * (up - down)).sum().backward()
    assert w.grad is not None
    expected = torch.nn.functional.normalize(w.grad, dim=1)
    torch.testing.assert_close(warps.move(w, 1).detach(), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("model", ["deformator", "warps"])
def test_an_interrupted_run_continues(config, tmp_path, model):
    """With the accuracies that order the directions."""
    whole = training.run(config, [f"model={model}", "steps=12", f"folder={tmp_path}/whole"]).read_bytes()
    training.run(config, [f"model={model}", "steps=10"])
    (tmp_path / "directions.safetensors").unlink()
    assert training.run(config, [f"model={model}", "steps=12"]).read_bytes() == whole


@pytest.mark.parametrize("source", [Deformator, Warped])
def test_files_that_are_none(source, tmp_path):
    (tmp_path / "other.safetensors").write_bytes(b"no")
    for name in ("missing.safetensors", "other.safetensors"):
        with pytest.raises(ConfigError, match=name):
            source(file=str(tmp_path / name)).directions(TOY)
