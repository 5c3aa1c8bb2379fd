"""Checkpoints: every public layout is told from its keys and shapes, and means the same function."""

import argparse
import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from synthetic_checkpoints import (
    Persistent,
    Random,
    empty,
    genforce,
    nvidia,
    rosinality,
    stylegan1,
    tensorflow,
    widths,
)

from backends import checkpoints
from backends.checkpoints import CheckpointError
from backends.checkpoints.formats import Contents, Format
from backends.generators.stylegan1 import StyleGAN1
from backends.generators.stylegan2 import StyleGAN2
from backends.networks.stylegan2 import StyleGAN2 as Network
from plugins import find, names

CHANNELS, DIM, ROWS = [12, 12, 8, 6], 16, 8  # a StyleGAN2 of 32 x 32
LEVELS = len(CHANNELS)


def written(layout: str, folder: Path, importable: Any, seed: int = 0) -> Path:
    """A file of the public layout; all hold the same function."""
    source = nvidia(CHANNELS, DIM, make=Random(seed))
    theirs = rosinality(source, LEVELS)
    average = source["mapping.w_avg"]
    file = folder / f"network{'.pkl' if 'nvidia' in layout else '.pt'}"
    tree: Any = {
        "rosinality": {"g_ema": theirs, "latent_avg": average},
        "rosinality training": {"g": theirs, "g_ema": theirs, "d": {}, "args": argparse.Namespace(size=32)},
        "rosinality of 2019": {"g_ema": theirs, "latent_avg": average},
        "e4e": {
            "state_dict": {f"decoder.{k}": v for k, v in theirs.items()} | {"encoder.x": torch.ones(2)},
            "latent_avg": average.repeat(ROWS, 1),
            "opts": {"stylegan_size": 32},
        },
        "genforce": {"generator_smooth": genforce(source, LEVELS), "discriminator": {"x": torch.ones(2)}},
        "genforce flat": genforce(source, LEVELS),
    }.get(layout)
    if tree is not None:
        torch.save(tree, file, _use_new_zipfile_serialization="2019" not in layout)
    elif layout == "nvidia":
        network = Persistent(importable.reconstruct, source)
        file.write_bytes(pickle.dumps({"G": None, "D": None, "G_ema": network, "augment_pipe": None}))
    else:
        top, mapping, synthesis = tensorflow(source, LEVELS)
        parts = {
            "mapping": importable.Network(version=4, variables=mapping, build_module_src="raise SystemExit"),
            "synthesis": importable.Network(
                version=4, variables=synthesis, build_module_src="raise SystemExit"
            ),
        }
        averaged = importable.Network(
            version=4, name="Gs", static_kwargs={"resolution": 32}, components=parts, variables=top
        )
        file.write_bytes(pickle.dumps((averaged, averaged, averaged), protocol=int(layout[-1])))
    return file


STYLEGAN2 = ["rosinality", "rosinality training", "rosinality of 2019", "e4e", "genforce", "genforce flat"]
STYLEGAN2 += ["nvidia", "nvidia tensorflow 2", "nvidia tensorflow 4"]


@pytest.mark.parametrize("layout", STYLEGAN2)
def test_every_layout_is_the_same_function(layout, tmp_path, importable):
    file = written(layout, tmp_path, importable)
    report = checkpoints.inspect(file)
    assert (report.family, report.size, report.layers, report.dim) == ("StyleGAN2", 32, ROWS, DIM)
    assert report.plugin == "generators/stylegan2"
    first = StyleGAN2(str(written("rosinality", tmp_path, importable)))
    z = torch.randn(2, DIM, generator=torch.Generator().manual_seed(1))
    latents = first.mapping(z)
    picture = first.synthesize(latents)
    again = StyleGAN2(str(written(layout, tmp_path, importable)))
    torch.testing.assert_close(again.mapping(z), latents, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        again.synthesize(latents), picture, rtol=1e-4, atol=1e-4 * float(picture.abs().max())
    )
    if "training" not in layout:  # which has no average: it is estimated
        torch.testing.assert_close(again.mean(), first.mean())


def test_another_function_is_another_picture(tmp_path, importable):
    """The comparison above can fail."""
    latents = torch.randn(1, ROWS, DIM)
    pictures = [
        StyleGAN2(str(written("genforce", tmp_path, importable, seed))).synthesize(latents) for seed in (0, 1)
    ]
    assert (pictures[0] - pictures[1]).abs().max() > 0.1


@pytest.mark.parametrize(("layout", "rows"), [("genforce", 1), ("interfacegan", 1), ("idinvert", 12)])
def test_stylegan1_layouts(layout, rows, tmp_path):
    """At 128 pixels, where the flat layouts fuse their upsampling and change the order of its axes."""
    state = stylegan1([6, 6, 6, 6, 4, 4], DIM, layout, rows=rows)
    torch.save({"generator": state} if layout == "genforce" else state, tmp_path / "network.pth")
    report = checkpoints.inspect(tmp_path / "network.pth")
    assert (report.family, report.size, report.layers, report.dim) == ("StyleGAN1", 128, 12, DIM)
    generator = StyleGAN1(str(tmp_path / "network.pth"))
    latents = generator.sample([0, 1])
    assert latents.shape == (2, 12, DIM)
    assert torch.equal(latents[:, 0], latents[:, 1]) == (rows == 1)
    assert generator.synthesize(latents).shape == (2, 3, 128, 128)
    assert (generator.synthesize(100 * latents).abs().max() <= 1) == (rows > 1)  # IDInvert's tanh


@pytest.mark.parametrize(
    ("name", "state", "facts"),
    [
        ("nvidia", {"G_ema": nvidia(widths(256), 512, make=empty)}, (256, 14, 512)),
        ("rosinality", {"g_ema": rosinality(nvidia(widths(1024), 512, make=empty), 9)}, (1024, 18, 512)),
        ("genforce_stylegan2", genforce(nvidia(widths(256), 512, make=empty), 7), (256, 14, 512)),
        ("genforce_stylegan1", stylegan1(widths(256, 16384), 512, "genforce", empty), (256, 14, 512)),
        ("genforce_stylegan1", stylegan1(widths(1024, 16384), 512, "interfacegan", empty), (1024, 18, 512)),
        ("genforce_stylegan1", stylegan1(widths(256, 16384), 512, "idinvert", empty, 14), (256, 14, 512)),
    ],
)
def test_full_size_listings_fit_one_layout(name, state, facts):
    matches = {other for other in names(Format) if find(Format, other)().find(Contents(state)) is not None}
    assert matches == {name}
    format = find(Format, name)()
    found = format.facts(format.find(Contents(state)))
    assert (found["size"], found["layers"], found["dim"]) == facts


def test_convert_writes_what_is_read_back(tmp_path, importable):
    file, out = written("rosinality", tmp_path, importable), tmp_path / "own.safetensors"
    report = checkpoints.convert(file, out)
    assert asdict(report)["size"] == 32
    with safe_open(out, "pt") as stored:
        assert stored.metadata() == {
            "family": "StyleGAN2",
            "size": "32",
            "layers": "8",
            "dim": "16",
            "source": report.format,
        }
    for key, value in checkpoints.load(file).items():
        torch.testing.assert_close(checkpoints.load(out)[key], value, rtol=0, atol=0)
    assert checkpoints.inspect(out).plugin == "generators/stylegan2"
    assert len(StyleGAN2(str(out)).fingerprint) == 64


def test_refusals_say_what_was_found(tmp_path):
    torch.save({"weights": torch.ones(2, 3), "epoch": 4}, tmp_path / "other.pt")
    with pytest.raises(
        CheckpointError, match=r"other\.pt fits no known format.*weights: tensor \(2, 3\).*rosinality"
    ):
        checkpoints.inspect(tmp_path / "other.pt")
    torch.save(stylegan1(CHANNELS, DIM, "genforce"), tmp_path / "one.pth")
    with pytest.raises(CheckpointError, match=r"is StyleGAN1.*not what generators/stylegan2 reads"):
        checkpoints.load(tmp_path / "one.pth", "generators/stylegan2")
    torch.save({"ckpt": "g.pt", "eigvec": torch.eye(DIM)}, tmp_path / "factor.pt")
    assert checkpoints.inspect(tmp_path / "factor.pt").family == "directions"


def test_damaged_states_are_refused(tmp_path):
    source = rosinality(nvidia(CHANNELS, DIM), LEVELS)
    for key, value, words in [
        ("convs.2.conv.weight", torch.zeros(1, 8, 5, 3, 3), "convolution 3 has shape"),
        ("convs.1.noise.weight", None, "is missing"),
        ("convs.0.conv.blur.kernel", torch.ones(4, 4), "filter"),
        ("to_rgb1.conv.weight", torch.zeros(3), "colour layer 0 has shape"),
    ]:
        state = {k: v for k, v in (source | {key: value}).items() if v is not None}
        torch.save({"g_ema": state}, tmp_path / "damaged.pt")
        with pytest.raises(CheckpointError, match=words):
            checkpoints.load(tmp_path / "damaged.pt")


def test_the_mean_of_a_checkpoint_without_one_is_estimated(tmp_path, importable):
    generator = StyleGAN2(str(written("rosinality training", tmp_path, importable)))
    network: Network = generator._network
    expected = network.mapping(torch.randn(4000, DIM)).mean(0)
    assert (generator.mean()[0, 0] - expected).abs().max() < 0.1 * expected.abs().max() + 1e-3
