"""Checkpoints as training code leaves them: the same function loads, another one is refused."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from synthetic_checkpoints import Persistent, Random, genforce, nvidia, rosinality, stylegan1
from synthetic_encoders import filled, halvings, idinvert, pyramid, single
from test_encoders import Rows

from backends import checkpoints
from backends.checkpoints import CheckpointError
from backends.inverters.encoder import Encoder
from backends.networks import encoders
from cli import main

CHANNELS, DIM, LEVELS = [12, 12, 8, 6], 16, 4  # a StyleGAN2 of 32 x 32
SMALL = {"widths": (8, 8, 12, 16, 16), "reduction": 4, "dim": 16}


@pytest.fixture(scope="module")
def source() -> dict[str, torch.Tensor]:
    return nvidia(CHANNELS, DIM, make=Random(3))


def saved(folder: Path, tree: Any, **options: Any) -> Path:
    torch.save(tree, folder / "file.pt", **options)
    return folder / "file.pt"


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    for key, value in a.items():
        torch.testing.assert_close(value, b[key], rtol=0, atol=0)


def parallel(state: dict[str, Any]) -> dict[str, Any]:
    """As DataParallel names it."""
    return {f"module.{key}": value for key, value in state.items()}


def whole(state: dict[str, torch.Tensor]) -> torch.nn.Module:
    """A module with this state dict, of a class that can be pickled."""
    module = torch.nn.Module()
    for key, value in state.items():
        *path, name = key.split(".")
        current = module
        for part in path:
            if part not in current._modules:
                current.add_module(part, torch.nn.Module())
            current = current.get_submodule(part)
        current.register_parameter(name, torch.nn.Parameter(value))
    return module


# the same function, elsewhere in the file


@pytest.mark.parametrize("place", ["state_dict", "generator", "model", "params_ema", "g"])
@pytest.mark.parametrize("wrap", [dict, parallel, whole])
def test_generators_at_every_usual_place(source, place, wrap, tmp_path):
    state = rosinality(source, LEVELS) | {"latent": torch.ones(1)}
    expected = checkpoints.load(saved(tmp_path, {"g_ema": state}))
    same(checkpoints.load(saved(tmp_path, {place: wrap(state), "epoch": 3})), expected)
    same(checkpoints.load(saved(tmp_path, wrap(state), _use_new_zipfile_serialization=False)), expected)


@pytest.mark.parametrize(
    "make", [lambda s: s, lambda s: rosinality(s, LEVELS), lambda s: genforce(s, LEVELS)]
)
def test_networks_of_several_devices(source, make, tmp_path):
    expected = checkpoints.load(saved(tmp_path, make(source)))
    same(checkpoints.load(saved(tmp_path, parallel(make(source)))), expected)
    same(checkpoints.load(saved(tmp_path, parallel(parallel(make(source))))), expected)


def test_training_checkpoints_of_genforce(source, tmp_path):
    """`models` holds all networks, next to the running statistics of the trainer."""
    other = genforce(nvidia(CHANNELS, DIM, make=Random(4)), LEVELS)
    models = {"discriminator": {"x": torch.ones(2)}, "generator": other}
    tree = {"models": models | {"generator_smooth": genforce(source, LEVELS)}, "iteration": 7}
    expected = checkpoints.load(saved(tmp_path, genforce(source, LEVELS)))
    same(checkpoints.load(saved(tmp_path, tree)), expected)
    one = stylegan1(CHANNELS, DIM, "genforce")
    same(
        checkpoints.load(saved(tmp_path, {"models": {"generator": one}})),
        checkpoints.load(saved(tmp_path, one)),
    )


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("shell", ["dict", "alone"])
def test_networks_of_nvidia_in_any_pickle(source, protocol, shell, importable, tmp_path):
    """Protocol 2 spells bytes as text, which is twice as long in memory."""
    network = Persistent(importable.reconstruct, source)
    content = {"G": None, "G_ema": network} if shell == "dict" else network
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    same(checkpoints.load(tmp_path / "g.pkl"), checkpoints.load(saved(tmp_path, source)))
    same(checkpoints.load(saved(tmp_path, content)), checkpoints.load(tmp_path / "g.pkl"))


def test_large_networks_in_protocol_2(importable, tmp_path):
    """The bytes may be counted once only."""
    wide = nvidia([512, 512], 8)  # 38 MB
    network = {
        "G_ema": Persistent(importable.reconstruct, wide),
        "G": Persistent(importable.reconstruct, wide),
    }
    (tmp_path / "g.pkl").write_bytes(pickle.dumps(network, protocol=2))
    assert checkpoints.load(tmp_path / "g.pkl")["convs.0.weight"].shape == (512, 512, 3, 3)


def test_networks_that_draw_their_noise(source, tmp_path):
    """Older code of rosinality stores the noise's strength only; ours is the same every time."""
    state = {k: v for k, v in rosinality(source, LEVELS).items() if not k.startswith("noises.")}
    first, second = (checkpoints.load(saved(tmp_path, {"g_ema": state})) for _ in range(2))
    same(first, second)
    assert first["convs.6.noise"].shape == (32, 32)
    assert first["convs.6.noise"].std() == pytest.approx(1, abs=0.1)
    assert not torch.equal(first["convs.5.noise"], first["convs.6.noise"])


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_files_in_another_precision(source, kind, tmp_path):
    """Nothing is computed in it: the style's one is added to float32."""
    state = {key: value.to(kind) for key, value in genforce(source, LEVELS).items()}
    expected = checkpoints.load(saved(tmp_path, {key: value.float() for key, value in state.items()}))
    same(checkpoints.load(saved(tmp_path, state)), expected)


@pytest.mark.parametrize("depth", [4, 8, 10])
def test_mappings_of_another_depth(depth, tmp_path):
    file = saved(tmp_path, stylegan1(CHANNELS, DIM, "idinvert", rows=8, depth=depth))
    assert checkpoints.inspect(file).note == "one w per layer (IDInvert)"
    assert (
        sum(key.endswith(".weight") and key.startswith("mapping") for key in checkpoints.load(file)) == depth
    )


# encoders


def e4e(
    decoder: dict[str, torch.Tensor] | None, encoder: dict[str, torch.Tensor], **more: Any
) -> dict[str, Any]:
    state = {f"encoder.{key}": value for key, value in encoder.items()}
    state |= {f"decoder.{key}": value for key, value in (decoder or {}).items()}
    return {"state_dict": state, "opts": {"start_from_latent_avg": True}, **more}


def test_encoders_with_keys_that_nothing_reads(tmp_path):
    encoder = filled(pyramid(halvings(8), **SMALL))
    average = torch.ones(8, 16)
    expected = checkpoints.load(saved(tmp_path, e4e(None, encoder, latent_avg=average)), encoders.PLUGIN)
    more = encoder | {"progressive_stage": torch.tensor(7), "avg_pool.weight": torch.ones(3)}
    same(checkpoints.load(saved(tmp_path, e4e(None, more, latent_avg=average)), encoders.PLUGIN), expected)
    tree = {"state_dict": parallel(e4e(None, more)["state_dict"]), "latent_avg": average}
    same(checkpoints.load(saved(tmp_path, tree), encoders.PLUGIN), expected)
    shapes = idinvert((4, 6, 8, 8, 8, 8, 8), dim=16)
    report = checkpoints.inspect(saved(tmp_path, filled(shapes) | {"block_extra": torch.ones(1)}))
    assert report.layers == 14


def test_an_encoder_without_its_average_takes_the_decoder_s(source, tmp_path):
    encoder, decoder = filled(pyramid(halvings(8), **SMALL)), rosinality(source, LEVELS)
    state = checkpoints.load(saved(tmp_path, e4e(decoder, encoder)), encoders.PLUGIN)
    generator = checkpoints.load(saved(tmp_path, e4e(decoder, encoder)), "generators/stylegan2")
    torch.testing.assert_close(state["latent_avg"], generator["mean"].expand(1, 8, -1))
    assert state["latent_avg"].std() > 1e-4
    for tree in (e4e(None, encoder), encoder):
        with pytest.raises(CheckpointError, match=r"average latent, which is not in the file"):
            checkpoints.load(saved(tmp_path, tree), encoders.PLUGIN)
    free = e4e(None, encoder) | {"opts": argparse.Namespace(start_from_latent_avg=False)}
    assert "latent_avg" not in checkpoints.load(saved(tmp_path, free), encoders.PLUGIN)


def test_encoders_of_a_single_style(tmp_path):
    """All layers get one w: the mean of the trunk's last map through a dense layer, beside the average."""
    encoder = filled(single(**SMALL))
    tree = e4e(None, encoder, latent_avg=torch.linspace(-1, 1, 16).expand(8, -1).clone())
    report = checkpoints.inspect(saved(tmp_path, tree))
    assert (report.plugin, report.layers, report.dim) == (encoders.PLUGIN, 1, 16)

    picture = torch.rand(1, 3, 256, 256) * 2 - 1
    [inversion] = Encoder(str(tmp_path / "file.pt")).invert(picture, Rows(8, 16))
    network = encoders.load(encoder)
    features = network.body(network.input_layer(picture)).mean((2, 3))  # type: ignore[operator]
    w = features @ encoder["linear.weight"].T / 4 + encoder["linear.bias"] + torch.linspace(-1, 1, 16)
    torch.testing.assert_close(inversion.latents, w[:, None].expand(-1, 8, -1), rtol=1e-4, atol=1e-5)
    del encoder["body.5.res_layer.3.weight"]
    with pytest.raises(CheckpointError, match="incomplete"):
        checkpoints.inspect(saved(tmp_path, e4e(None, encoder, latent_avg=torch.ones(16))))


# other functions


def conditional(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """z and the embedding of a label enter the mapping side by side."""
    key = next(key for key in state if key.startswith("mapping.dense0") and key.endswith("weight"))
    return state | {key: state[key].repeat(1, 2)}


@pytest.mark.parametrize("format", ["genforce", "interfacegan", "idinvert"])
def test_conditional_networks_are_refused(format, source, tmp_path):
    for state in (
        conditional(stylegan1(CHANNELS, DIM, format)),
        conditional(genforce(source, LEVELS)),
        stylegan1(CHANNELS, DIM, format) | {"mapping.label_weight": torch.ones(3, DIM)},
        source | {"mapping.embed.weight": torch.ones(DIM, 3)},
    ):
        for read in (checkpoints.inspect, checkpoints.load):
            with pytest.raises(CheckpointError, match=r"conditional .*only unconditional"):
                read(saved(tmp_path, state))


@pytest.mark.parametrize(
    ("module", "settings"),
    [
        ("", {"c_dim": 10}),
        ("mapping.fc1.", {"bias_gain": 0.1}),
        ("mapping.fc1.", {"activation": "relu"}),
        ("synthesis.b8.conv0.", {"activation": "linear"}),
        ("synthesis.b8.conv0.", {"conv_clamp": 8}),
        ("synthesis.b8.", {"architecture": "resnet"}),
    ],
)
def test_settings_that_nvidia_records(module, settings, source, importable, tmp_path):
    usual = {
        "": {"c_dim": 0, "z_dim": DIM},
        "mapping.fc1.": {"bias_gain": 0.01, "activation": "lrelu"},
        "synthesis.b8.conv0.affine.": {"bias_gain": 1, "activation": "linear"},
        "synthesis.b8.conv0.": {"activation": "lrelu", "conv_clamp": 256},
        "synthesis.b8.conv1.": {"activation": "lrelu", "conv_clamp": None},
        "synthesis.b8.": {"architecture": "skip"},
    }
    file = tmp_path / "g.pkl"
    file.write_bytes(pickle.dumps({"G_ema": Persistent(importable.reconstruct, source, usual)}))
    same(checkpoints.load(file), checkpoints.load(saved(tmp_path, source)))
    other = usual | {module: usual[module] | settings}
    file.write_bytes(pickle.dumps({"G_ema": Persistent(importable.reconstruct, source, other)}))
    for read in (checkpoints.inspect, checkpoints.load):
        with pytest.raises(CheckpointError, match=r"conditional|trained with .*, which is not supported"):
            read(file)


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda s: s, "synthesis.b8.conv0.resample_filter"),
        (lambda s: s, "synthesis.b16.resample_filter"),
        (lambda s: rosinality(s, LEVELS), "to_rgbs.0.upsample.kernel"),
        (lambda s: genforce(s, LEVELS), "synthesis.layer1.filter.kernel"),
    ],
)
def test_other_resampling_filters_are_refused(make, key, source, tmp_path):
    state = make(source)
    assert key in state
    for kernel in (torch.ones(2, 2), torch.ones(4, 4), torch.zeros(4, 4)):
        with pytest.raises(CheckpointError, match=r"filter .* is not the usual 1-3-3-1"):
            checkpoints.load(saved(tmp_path, state | {key: kernel}))


def test_training_that_was_still_growing_is_refused(tmp_path):
    state = stylegan1(CHANNELS, DIM, "genforce")
    for lod in (0.3, 2.0):
        with pytest.raises(CheckpointError, match=rf"stopped {lod:.2g} levels below the full size"):
            checkpoints.load(saved(tmp_path, state | {"synthesis.lod": torch.tensor(lod)}))


@pytest.mark.parametrize("format", ["genforce", "interfacegan"])
def test_one_w_per_layer_is_only_known_of_idinvert(format, tmp_path):
    with pytest.raises(CheckpointError, match="tanh; nothing in this file says"):
        checkpoints.load(saved(tmp_path, stylegan1(CHANNELS, DIM, format, rows=8)))


def test_inspect_says_what_it_assumes(source, tmp_path, capsys):
    assert main(["inspect", str(saved(tmp_path, stylegan1(CHANNELS, DIM, "interfacegan")))]) == 0
    said = capsys.readouterr().out
    for words in ("assumed: ", "use_wscale", "mapping learning rate 0.01", "fused", "tanh", "layers: 8"):
        assert words in said
    assert "demodulation" in checkpoints.inspect(saved(tmp_path, rosinality(source, LEVELS))).assumed
    checkpoints.convert(tmp_path / "file.pt", tmp_path / "own.safetensors")
    assert checkpoints.inspect(tmp_path / "own.safetensors").assumed == ""
