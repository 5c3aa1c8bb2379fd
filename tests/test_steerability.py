"""Steerability: transformations, the closed form against a known answer, and training of walks."""

import pytest
import torch

from backends.generators.toy import Toy
from config import ConfigError
from directions._transforms import NAMES, SPATIAL, transformed
from directions.steerability import Steerability
from training import read
from training._loop import train


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))


class Spot(Toy):
    """A blurred spot on grey; entries 0-3 shift, enlarge and brighten it, a little each."""

    def synthesize(self, latents: torch.Tensor) -> torch.Tensor:
        right, down, scale, light = (0.1 * latents[:, 0, i].view(-1, 1, 1) for i in range(4))
        axis = (torch.arange(self.size) + 0.5) / self.size * 2 - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        square = ((x - right) ** 2 + (y - down) ** 2) * torch.exp(-2 * scale)
        return ((torch.exp(-8 * square) + light)[:, None]).expand(-1, 3, -1, -1)

    def activations(self, latents: torch.Tensor, layer: int) -> torch.Tensor:
        return self.synthesize(latents)


def spot() -> Spot:
    return Spot(size=32, seed=77)


def test_transformations_do_what_their_names_say():
    picture = spot().synthesize(torch.zeros(1, 6, 16))
    axis = torch.linspace(-1, 1, 32)
    for name in NAMES:
        moved, mask = transformed(name, picture, 0.2)
        x = float((moved[0, 0] * axis).sum() / moved[0, 0].sum())
        y = float((moved[0, 0] * axis[:, None]).sum() / moved[0, 0].sum())
        assert (x > 0.05) == (name == "shift right"), name
        assert (y > 0.05) == (name == "shift down"), name
        assert (float(moved.mean()) > float(picture.mean()) + 0.02) == (name not in SPATIAL[1:]), name
        assert set(mask.shape) == {1, 32}
    corner = torch.zeros(1, 1, 32, 32)
    corner[0, 0, 4, 16] = 1.0  # above the centre: a clockwise turn takes it to the right
    turned, _ = transformed("turn clockwise", corner, 0.5)
    assert int(turned.sum((0, 1, 2)).argmax()) > 18


@pytest.mark.parametrize(
    ("name", "entry"), [("shift right", 0), ("shift down", 1), ("zoom in", 2), ("brighter", 3)]
)
@pytest.mark.parametrize("maps", [-1, 2])
def test_the_closed_form_finds_the_entry(name, entry, maps):
    if maps >= 0 and name not in SPATIAL:
        return
    direction = Steerability(basis=16, maps=maps, pixels=16).find(spot(), name)
    move = direction.step(spot().mean())[0, 0]
    assert float(move[entry] / move.norm()) > 0.95
    assert int(direction.note.partition(" ")[0]) > 80


def test_what_cannot_be_done_has_a_small_share():
    """A spot stays as it is when it turns: nothing is wanted, and nothing is found that makes it."""
    assert float(Steerability(basis=16, pixels=16).find(spot(), "redder").note.partition(" ")[0]) < 50


def test_unknown_names():
    with pytest.raises(ConfigError, match="zoom in"):
        Steerability().find(spot(), "zoom out")
    with pytest.raises(ConfigError, match=r"shift down, turn clockwise$"):
        Steerability(maps=1).find(spot(), "brighter")


def test_walks_are_learnt(tmp_path):
    config = tmp_path / "spot.yaml"
    out = tmp_path / "spot.safetensors"
    config.write_text(
        f"trainer: steerability\ngenerator: {{name: toy}}\nfolder: {tmp_path}/run\nout: {out}\n"
        "walks: [zoom in, shift right, brighter]\nsteps: 100\nbatch: 2\npixels: 16\nrate: 0.05\namount: 0.2\n"
    )

    def learn(*overrides):
        trainer = read(config, overrides)
        trainer.__dict__["network"] = spot()  # instead of the toy that the file names
        train(trainer)

    learn()
    source = Steerability(file=str(out))
    for name, entry in {"zoom in": 2, "shift right": 0, "brighter": 3}.items():
        move = source.find(spot(), name).step(spot().mean())[0, 0]
        assert float(move[entry] / move.norm()) > 0.75
    learn("steps=0", "pixels=16", "components=16", "walks=[brighter]")
    assert int(source.find(spot(), "brighter").step(spot().mean())[0, 0].argmax()) == 3
    with pytest.raises(ConfigError, match="zoom in"):
        read(config, ["walks=[fly]"])
