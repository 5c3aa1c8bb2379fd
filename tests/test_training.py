"""Training of small generators: data, matching, both players' updates, starting points, resuming."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from backends import dataset
from backends.dataset import Data
from backends.generators.compact import Compact
from backends.inverters.components import Components
from backends.networks import compact_stylegan, efficientnet_lite
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.linear_encoder import LinearEncoder
from backends.networks.mobilestylegan import Synthesis, inverse_haar
from config import ConfigError
from evaluation import metrics
from training import _transfer as transfer
from training import read, run
from training._augment import Augmentation, augment, draw
from training._discriminator import Pixels, Projected, discriminator_terms
from training._loop import Processes
from training._networks import Networks, Rates
from training._pca_encoder import fit
from training.gan import GAN, TERMS, step, warmup

CHANNELS = (32, 32)  # 16-pixel pictures
COLOURS = torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, -1]])
PLAIN = COLOURS[:, :, None, None].expand(4, 3, 16, 16)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of 12 plain pictures, eight of them in a folder called red."""
    for i in range(12):
        label, colour = ("red", (250, 20 * i, 0)) if i < 8 else ("blue", (0, 20 * i, 250))
        (tmp_path / "photographs" / label).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 16), colour).save(tmp_path / "photographs" / label / f"{i:02d}.png")
    return tmp_path / "photographs"


@pytest.fixture
def config(photographs: Path, tmp_path: Path) -> Path:
    """A run of four steps from scratch on the red pictures, without pretrained weights."""
    file = tmp_path / "run.yaml"
    file.write_text(
        f"trainer: gan\nfolder: {tmp_path / 'run'}\n"
        f"data: {{path: {photographs}, holdout: 1, labels: [red]}}\n"
        "start: scratch\nchannels: [32, 32]\ndiscriminator: pixels\nbatch: 4\nsteps: 4\n"
        "rates: {frozen: 0}\nevery: {log: 1, checkpoint: 2, sheet: 0, metrics: 0}\n"
    )
    return file


def networks(**rates: float) -> Networks:
    torch.manual_seed(0)
    network = transfer.scratch(CHANNELS)
    settings = Rates(**rates)  # type: ignore[arg-type]
    coarse = transfer.coarse_names(network, int(settings.frozen))
    return Networks(network, Pixels(16), encoder(), coarse, settings, dict.fromkeys(TERMS, 1.0))


def encoder() -> LinearEncoder:
    network = LinearEncoder(512)
    photographs = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    fit(network, [photographs], nats=20)
    return network


def test_folder_and_archive_hold_the_same_photographs(photographs: Path, tmp_path: Path) -> None:
    archive = tmp_path / "photographs.zip"
    with zipfile.ZipFile(archive, "w") as target:
        for file in photographs.rglob("*.png"):
            target.write(file, file.relative_to(photographs))
    (train, test), (zipped, _) = (
        dataset.load(Data(str(place), holdout=3), 16) for place in (photographs, archive)
    )
    assert train.names == zipped.names
    assert torch.equal(train.pixels, zipped.pixels)
    assert len(train) == 9
    assert len(test) == 3
    assert not set(train.names) & set(test.names)


def test_labels_choose_folders(photographs: Path) -> None:
    train, _ = dataset.load(Data(str(photographs), labels=["red"], holdout=0), 8)
    assert len(train) == 8
    assert train.images()[:, 0].min() > 0.9
    assert train.images()[:, 2].max() == -1


@pytest.mark.parametrize("path", ["/no/such/folder", "no/such-dataset"])
def test_missing_photographs_say_what_would_work(path: str) -> None:
    with pytest.raises(ConfigError, match=r"folder|datasets"):
        dataset.load(Data(path), 8)


def test_every_photograph_comes_once_an_epoch() -> None:
    shown = [i for number in range(3) for rank in range(2) for i in dataset.batch(12, 1, number, 2, rank, 2)]
    assert sorted(shown) == list(range(12))
    assert shown != sorted(shown)


def test_augmentation_is_the_same_for_the_same_numbers() -> None:
    images = torch.rand(3, 3, 16, 16, requires_grad=True)
    numbers = draw(3, torch.Generator().manual_seed(0))
    none = Augmentation(colour=0, translation=0, cutout=0)
    assert torch.equal(augment(images, numbers, none), images)
    changed = augment(images, numbers, Augmentation())
    assert torch.equal(changed, augment(images, numbers, Augmentation()))
    assert not torch.allclose(changed, images)
    changed.sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum() > 0


def test_network_is_mobilestylegan_computed_otherwise() -> None:
    ours, theirs = CompactStyleGAN((16, 16, 8), 512), Synthesis((16, 16, 8), 512)
    for name, value in theirs.named_parameters():
        if name.endswith(("noise", "bias")):
            torch.nn.init.normal_(value)
    state = {name: value for name, value in theirs.state_dict().items() if name in ours.state_dict()}
    ours.load_state_dict(ours.state_dict() | state)
    latents = torch.randn(2, ours.layers, 512)
    expected = theirs(latents)
    assert (ours.synthesize(latents) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_haar_undoes_the_inverse() -> None:
    images = torch.rand(2, 3, 8, 8)
    assert torch.allclose(inverse_haar(transfer.haar(images)), images, atol=1e-6)


@pytest.mark.parametrize(("dense", "smooth"), [(False, False), (False, True), (True, True)])
def test_a_grown_network_draws_the_same_pictures_larger(dense: bool, smooth: bool) -> None:
    torch.manual_seed(0)
    small = transfer.scratch((32, 32, 32), smooth=smooth)
    torch.nn.init.zeros_(
        small.head.modulation.weight
    )  # a transferred network's output layer starts like that
    large = transfer.grown(small, 32, dense)
    z = torch.randn(8, 512)
    wanted = torch.nn.functional.interpolate(small(z), scale_factor=2, mode="bicubic")
    error = (large(z) - wanted).square().mean() / wanted.var()
    assert large.size == 2 * small.size
    assert error < 0.3  # a few random filters carry most of it
    again = compact_stylegan.from_state(large.state_dict())
    assert torch.equal(again(z), large.eval()(z))


def test_the_gradient_of_frozen_strides_is_that_of_the_convolution() -> None:
    for kernel, side in ((3, 16), (5, 16), (3, 15), (5, 13)):
        layer = efficientnet_lite.Convolution(6, 6, kernel, 2, groups=6)
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter)
        x = torch.randn(2, 6, side, side, requires_grad=True)
        layer.requires_grad_(True)
        expected = torch.autograd.grad(layer(x).square().sum(), x)
        layer.requires_grad_(False)
        assert torch.allclose(torch.autograd.grad(layer(x).square().sum(), x)[0], expected[0], atol=1e-3)


def test_z_tells_as_much_as_it_may_and_is_distributed_like_samples() -> None:
    source = torch.Generator().manual_seed(0)
    shapes = torch.randn(8, 3, 32, 32, generator=source)
    shapes = shapes + shapes.flip(3)  # mirrored photographs count too
    photographs = torch.einsum("nk,kcij->ncij", torch.randn(500, 8, generator=source), shapes)
    network = LinearEncoder(64)
    fit(network, photographs.split(100), nats=10)
    mean, deviation = network(photographs)
    told = deviation < 1
    assert 1 < told.sum() <= 8
    assert -deviation.log().sum() == pytest.approx(10, rel=1e-3)
    assert torch.allclose((mean.var(0) + deviation**2)[told], torch.ones(int(told.sum())), atol=0.1)
    assert (mean[:, ~told] == 0).all()


def test_the_short_mapping_has_the_given_mean_and_axes() -> None:
    network = CompactStyleGAN(CHANNELS, 16)
    matrix, mean = torch.randn(16, 16) / 16, torch.full((16,), 3.0)  # far from where LeakyReLU bends
    transfer.set_mapping(network.mapping, matrix, mean)
    z = torch.randn(5, 16)
    z = z / z.square().mean(1, keepdim=True).sqrt()
    expected = (z @ matrix.T + mean) * 2**0.5
    straight = (z > -transfer.SHIFT).all(1)
    assert torch.allclose(network.mapping(z)[straight], expected[straight], atol=1e-4)


def test_hinge_loss_is_zero_for_a_sure_discriminator() -> None:
    terms = discriminator_terms([torch.full((2, 3), 1.5)], [torch.full((2, 3), -1.5)])
    assert all(term == 0 for term in terms.values())


def test_faint_stripes_are_seen_after_a_few_steps() -> None:
    torch.manual_seed(0)
    discriminator = Projected(32)
    photographs = torch.rand(16, 3, 32, 32).cumsum(3) / 16 - 1  # soft, with some texture
    striped = photographs + 0.05 * torch.tensor([1.0, -1]).repeat(16)
    discriminator.calibrate(photographs)
    head = list(discriminator.texture.parameters())
    optimizer = torch.optim.Adam(head, lr=1e-3)
    for _ in range(30):
        pairs = [discriminator.logits(discriminator.maps(x))[:1] for x in (photographs, striped)]
        optimizer.zero_grad()
        torch.stack(list(discriminator_terms(*pairs).values())).sum().backward()
        optimizer.step()
    real, fake = pairs[0][0], pairs[1][0]
    assert real.min() > fake.max()


def test_a_few_photographs_are_overfitted() -> None:
    gan = networks(frozen=-1, generator=1e-3)
    fit(gan.encoder, [PLAIN], nats=20)
    gan.losses["adversarial"] = 0.05
    photographs = PLAIN.repeat(2, 1, 1, 1)
    unchanged = Augmentation(colour=0, translation=0, cutout=0)
    losses = []
    for number in range(80):
        source = torch.Generator().manual_seed(number)
        losses.append(step(gan, photographs, source, unchanged, Processes(half=False))["thumbnail"])
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_the_warmup_learns_to_reconstruct() -> None:
    gan = networks(frozen=-1, warmup=3e-3)
    fit(gan.encoder, [PLAIN], nats=20)
    losses = []
    for number in range(60):
        source = torch.Generator().manual_seed(number)
        losses.append(warmup(gan, PLAIN, source, Processes(half=False))["pixel"])
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])


def test_frozen_layers_stay_and_others_move() -> None:
    gan = networks(frozen=4)
    before = {name: value.clone() for name, value in gan.generator.state_dict().items()}
    frozen = transfer.coarse_names(gan.generator, 4)
    gan = Networks(gan.generator, Pixels(16), encoder(), frozen, Rates(), dict.fromkeys(TERMS, 1.0))
    photographs = torch.rand(4, 3, 16, 16) * 2 - 1
    step(gan, photographs, torch.Generator().manual_seed(0), Augmentation(), Processes(half=False))
    moved = {
        name for name, value in gan.generator.state_dict().items() if not torch.equal(value, before[name])
    }
    assert "head.weight" in moved
    assert "blocks.0.conv1.pointwise" in moved
    assert not moved & frozen


def test_a_resumed_run_reaches_the_same_weights(config: Path, tmp_path: Path) -> None:
    whole = load_file(run(config, [f"folder={tmp_path / 'whole'}"]))
    run(config, ["steps=2"])
    parts = load_file(run(config))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


PROCESS = """
import sys
from pathlib import Path
from safetensors.torch import save_file
from training import read
from training._loop import Processes, train

accelerator = Processes()
trainer = read(Path(sys.argv[1]))
train(trainer, accelerator)
state = {name: value.contiguous() for name, value in trainer.networks.generator.state_dict().items()}
file = f"{sys.argv[2]}/{accelerator.process_index}.safetensors"
save_file(state, file, {"processes": str(accelerator.num_processes)})
"""


@pytest.mark.slow
def test_two_processes_keep_the_same_weights(config: Path, tmp_path: Path) -> None:
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        "2",
        script,
        Path(config),
        tmp_path,
    ]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *map(str, command)], check=True, env=environment, timeout=300)
    with safe_open(tmp_path / "0.safetensors", "pt") as file:
        assert file.metadata() == {"processes": "2"}
    first, second = (load_file(tmp_path / f"{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    alone = load_file(run(config, [f"folder={tmp_path / 'alone'}"]))
    together = load_file(tmp_path / "run" / "weights.safetensors")
    assert not torch.equal(alone["head.weight"], together["head.weight"])  # twice the photographs


def test_a_run_writes_what_the_generator_plugin_reads(config: Path, tmp_path: Path) -> None:
    weights = run(config)
    generator = Compact(weights=str(weights), size=16)
    latents = generator.sample([1, 2])
    assert latents.shape == (2, generator.layers, 512)
    assert generator.synthesize(latents).shape == (2, 3, 16, 16)
    with pytest.raises(ConfigError, match="16 x 16"):
        Compact(weights=str(weights), size=32).mean()
    assert (tmp_path / "run" / "losses.csv").read_text().count("\n") == 5  # a header and four steps


def test_photographs_are_inverted_with_the_encoder_of_training(config: Path, tmp_path: Path) -> None:
    generator = Compact(weights=str(run(config)), size=16)
    inverter = Components(weights=str(tmp_path / "run" / "encoder.safetensors"), draws=4)
    first, second = (next(inverter.invert(x[None], generator)).latents for x in PLAIN[:2])
    assert first.shape == (1, generator.layers, 512)
    assert not torch.allclose(first, second, atol=1e-2)
    assert torch.equal(first, next(inverter.invert(PLAIN[:1], generator)).latents)


def test_layers_follow_from_the_size() -> None:
    for channels in ((8,), (8, 8), (8, 8, 8, 8)):
        network = CompactStyleGAN(channels, 16)
        assert compact_stylegan.layers_of(network.size) == network.layers
    with pytest.raises(ValueError, match="power of two"):
        compact_stylegan.layers_of(48)


def test_frechet_distance_of_shifted_samples() -> None:
    samples = torch.randn(400, 352, generator=torch.Generator().manual_seed(0))
    assert abs(metrics.frechet(samples, samples)) < 1e-6
    assert metrics.frechet(samples, samples + 1) == pytest.approx(352, rel=1e-4)


def test_diversity_of_copies_is_zero() -> None:
    photographs = torch.randn(20, 352)
    assert metrics.diversity(photographs[:1].repeat(5, 1), photographs) < 1e-3
    assert metrics.diversity(photographs, photographs) == pytest.approx(1)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("batchsize=4", "batchsize"),
        ("start=grow", "parent"),
        ("steps=many", "steps"),
    ],
)
def test_wrong_settings_are_named(config: Path, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(config, [override])


def test_a_run_without_photographs_says_what_would_work(config: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.path.*folder"):
        run(config, ["data.path=''"])


def test_checkpoints_from_before_the_warmup_had_its_name_still_resume(config: Path, tmp_path: Path) -> None:
    whole = load_file(run(config, [f"folder={tmp_path / 'whole'}", "warmup=1"]))
    run(config, ["steps=2", "warmup=1"])
    file = tmp_path / "run" / "state.pt"
    state = torch.load(file, weights_only=True)
    state["optimizers"]["rehearsal"] = state["optimizers"].pop("warmup")
    state["gan"]["lengths.rehearsal"] = state["gan"].pop("lengths.warmup")
    torch.save(state, file)
    parts = load_file(run(config, ["warmup=1"]))
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_weights_of_terms_are_settings(config: Path) -> None:
    trainer = read(config, ["losses.pixel=3"])
    assert isinstance(trainer, GAN)
    assert trainer.losses == dict.fromkeys(TERMS, 1.0) | {"pixel": 3.0}
    with_pixels = load_file(run(config))["head.weight"]
    without = load_file(run(config, [f"folder={trainer.folder}2", "losses.pixel=0"]))["head.weight"]
    assert not torch.equal(with_pixels, without)
