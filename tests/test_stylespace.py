"""StyleSpace: moves that change one channel, and the ranking of channels, on the toy generator."""

import json

import pytest
import torch

from backends.generators.toy import Toy
from config import ConfigError
from directions._statistics import statistics
from directions.stylespace import StyleSpace, moves, parse, read
from training import run

TOY = Toy(size=16)


@pytest.mark.parametrize("layer", [0, 4])
def test_a_move_changes_one_channel_by_its_standard_deviation(layer):
    affine = TOY.affines()[layer]  # 9 channels of 16 numbers: exact moves exist
    styles = affine @ moves(TOY, layer, 0.0).T  # (channels, moves)
    deviation = (affine @ statistics(TOY).covariance[0] @ affine.T).diagonal().sqrt()
    torch.testing.assert_close(styles, torch.diag(deviation), atol=1e-3, rtol=1e-3)


def test_a_ridge_makes_moves_shorter_and_less_pure():
    exact, soft = moves(TOY, 2, 0.0), moves(TOY, 2, 1.0)
    assert float(soft.norm(dim=1).mean()) < float(exact.norm(dim=1).mean())
    styles = TOY.affines()[2] @ soft.T
    assert float((styles - torch.diag(styles.diagonal())).abs().max()) > 0.01


def test_directions_by_hand():
    source = StyleSpace(channels={"wave": "3:7", "still": "1:-2"})
    wave, still = source.directions(TOY)
    assert [wave.name, still.name] == ["wave", "still"]
    rows = wave.step(TOY.mean())[0]
    assert rows.norm(dim=1).nonzero().flatten().tolist() == [3]
    opposite = source.find(TOY, "1:2").step(TOY.mean())
    torch.testing.assert_close(still.step(TOY.mean()), -opposite)
    assert [d.name for d in StyleSpace(channels=source.channels, layers="0-2").directions(TOY)] == ["still"]


@pytest.mark.parametrize("text", ["3", "a:1", "1:b", ":", "1:2:3"])
def test_what_is_no_channel_is_refused(text):
    with pytest.raises(ConfigError, match="write, say"):
        parse(text)


def test_channels_that_do_not_exist_are_refused():
    for text in ("3:9", "6:0"):
        with pytest.raises(ConfigError, match="no channel"):
            StyleSpace(channels={"x": text}).find(TOY, "x")
    with pytest.raises(ConfigError, match="there are: x"):
        StyleSpace(channels={"x": "1:1"}).find(TOY, "y")
    with pytest.raises(ConfigError, match="needs"):
        StyleSpace().directions(TOY)


def test_files_that_are_none(tmp_path):
    for name, content in {"a.json": "[1]", "b.json": "{", "c.json": '{"x": {"layer": 1}}'}.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(ConfigError, match=name):
            read(str(tmp_path / name))
    with pytest.raises(ConfigError, match="no such file"):
        read(str(tmp_path / "d.json"))


def test_the_channel_behind_a_score_is_found(tmp_path):
    """Colours of the toy's pictures depend on heights of waves; a channel that is found must change them."""
    config = tmp_path / "toy.yaml"
    out = tmp_path / "toy.json"
    config.write_text(
        f"trainer: stylespace\ngenerator: {{name: toy, size: 16}}\nscorers: [{{name: colour}}]\n"
        f"folder: {tmp_path}/samples\nout: {out}\nsamples: 200\nexemplars: 0.1\ncandidates: 4\n"
        "directions: {bright: brightness, dark: -brightness}\nmove: 2.0\nfaces: 64\n"
    )
    run(config)
    assert set(json.loads(out.read_text())) == {"bright", "dark"}
    bright, dark = StyleSpace(file=str(out)).directions(TOY)
    latents = TOY.sample(list(range(64)))

    def gain(direction):
        ends = [TOY.synthesize(latents + sign * 2 * direction.step(latents)).mean() for sign in (1, -1)]
        return float(ends[0] - ends[1])

    assert gain(bright) > 0 > gain(dark)
