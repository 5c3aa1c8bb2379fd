"""The trainer of encoders: what its losses see, where it starts, what it holds out."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from backends.aligners import Aligner, Subject
from backends.dataset import Data
from backends.generators.toy import Toy
from backends.networks import encoders
from backends.networks.lite_encoder import LiteEncoder, groups
from backends.squares import Square
from config import ConfigError
from training import _crops, _encoder_start, read
from training._encoder_start import Pairs
from training._latent_discriminator import Adversary, LatentDiscriminator, terms
from training._loop import Loop, Processes
from training._shortcut import Shortcut


@pytest.fixture(scope="module")
def generator():
    return Toy(size=16)


@pytest.fixture(scope="module")
def space(generator):
    return _encoder_start.space(generator)


@pytest.fixture(scope="module")
def known(generator, space, tmp_path_factory):
    return _encoder_start.pairs(generator, space, Pairs(count=60), 0, tmp_path_factory.mktemp("pairs") / "p")


@dataclass
class LeftHalf(Aligner):
    """The square around the left edge: half of it is outside the photograph."""

    def detect(self, photo):
        return [Subject((0, 0, photo.width // 2, photo.height))]

    def frame(self, photo, subject):
        left, top, _, bottom = subject.box
        return Square((left, (top + bottom) / 2), ((bottom - top) / 2, 0.0))


def test_whitened_coordinates_begin_with_the_largest_component(space):
    assert (space.basis.norm(dim=0).diff() <= 1e-6).all()
    latents = torch.randn(2, 6, 16, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(space.latents(space.coordinates(latents)), latents, atol=1e-4)


def test_a_shortcut_of_the_whole_generator_is_the_generator(generator, space):
    shortcut = Shortcut(generator, space, generator.layers - 1, 16)
    latents = generator.sample([1, 2])
    assert torch.equal(shortcut(latents, space.coordinates(latents)), generator.synthesize(latents))


def test_a_shortcut_comes_close_to_unseen_pictures(generator, space, known):
    """Closer than the best picture that is the same for all, and with gradients for early layers."""
    shortcut = Shortcut(generator, space, 3, 32)
    coordinates = known.coordinates.float()
    shortcut.fit(space.latents(coordinates[:50]), known.images(torch.arange(50)))
    unseen = coordinates[50:].requires_grad_()
    true = known.images(torch.arange(50, 60))
    pictures = torch.nn.functional.avg_pool2d(shortcut(space.latents(unseen), unseen), 2)
    error = (pictures - true).square().mean()
    assert error < 0.5 * (true - true.mean(0)).square().mean()
    [slope] = torch.autograd.grad(error, unseen)
    assert (slope[:, :4].abs().sum((0, 2)) > 0).all()


def test_a_shortcut_follows_the_encoder(generator, space, known):
    """Fitted to where the encoder is, it is better there than fitted to pairs alone."""
    encoder = LiteEncoder.new(6, 16, 8, "lite0")
    encoder.mean.copy_(space.mean.expand(6, -1) + 0.3 * space.basis[:, 0])
    encoder.basis.copy_(space.basis)
    pixels = torch.randint(256, (30, 16, 16, 3), generator=torch.Generator().manual_seed(0)).byte()
    photographs = _crops.Crops(pixels, torch.full((30, 4, 4), 255).byte())
    shortcut = Shortcut(generator, space, 3, 16)
    latents = encoder(photographs.images(list(range(30)))[0]).detach()
    true = generator.render(latents)
    errors = []
    for fit in (
        lambda: _encoder_start.fit_shortcut(shortcut, known),
        lambda: _encoder_start.follow(shortcut, encoder, known, photographs, 1),
    ):
        fit()
        errors.append((shortcut(latents, space.coordinates(latents)) - true).square().mean())
    assert errors[1] < errors[0]


def test_pairs_are_kept_and_belong_together(generator, space, known, tmp_path):
    again = _encoder_start.pairs(generator, space, Pairs(count=60), 0, tmp_path / "pairs")
    assert torch.equal(again.pictures, known.pictures)
    drawn = generator.render(space.latents(known.coordinates[:4].float())).clamp(-1, 1)
    assert (drawn - known.images(torch.arange(4))).abs().max() < 0.1  # latents are kept in half precision
    differ = known.coordinates.float().std(1).amax(1)
    assert 0.2 < float((differ > 0.05).float().mean()) < 0.8  # half of them are mixtures


def test_the_start_tells_latents_from_pictures(known):
    encoder = LiteEncoder.new(6, 16, 8, "lite0")
    photographs = _crops.Crops(torch.zeros(2, 16, 16, 3, dtype=torch.uint8), torch.zeros(2, 4, 4).byte())
    _encoder_start.fit_encoder(encoder, known, photographs)
    wanted = known.coordinates.float().mean(1)
    base, deltas = encoder.heads(encoder.features(known.images(torch.arange(60))))
    assert (base - wanted).square().mean() < 0.7 * wanted.var(0).mean()
    assert not deltas.any()


def test_masks_say_what_is_photograph(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for i in range(21):
        Image.fromarray(np.full((40, 60, 3), 10 * i, dtype=np.uint8)).save(folder / f"{i:02d}.png")
    train, held_out = _crops.load(Data(str(folder)), LeftHalf(), 32, tmp_path / "crops")
    assert (len(train), len(held_out)) == (18, 3)
    assert held_out.pixels[:, 16, 24, 0].tolist() == [0, 100, 200]  # every tenth of the sorted names
    _, masks = held_out.images([0, 1, 2])
    half = _crops.PLACES // 2
    assert masks[:, 1:-1, half + 1 :].min() > 0.98
    assert masks[:, :, : half - 1].max() < 0.02
    (folder / "00.png").unlink()  # a second look takes what was kept
    assert len(_crops.load(Data(str(folder)), LeftHalf(), 32, tmp_path / "crops")[0]) == 18


def test_photographs_without_a_subject_are_left_out(tmp_path):
    class Nothing(LeftHalf):
        def detect(self, photo):
            return []

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(ConfigError, match="no subject"):
        _crops.load(Data(str(tmp_path)), Nothing(), 16, tmp_path / "crops")


def test_the_pool_shows_older_vectors_and_keeps_new_ones():
    numbers = torch.Generator().manual_seed(0)
    discriminator = LatentDiscriminator(4, Adversary(pool=8, width=4))
    first = torch.zeros(8, 4)
    assert torch.equal(discriminator.pooled(first, numbers), first)
    shown = discriminator.pooled(torch.ones(100, 4), numbers)[:, 0]
    assert shown[:16].eq(0).any()
    assert discriminator.pool.eq(1).any()


def test_the_latent_discriminator_learns_what_real_vectors_are():
    numbers = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    discriminator = LatentDiscriminator(4, Adversary(width=16))
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    for step in range(60):
        real, fake = (torch.randn(32, 4, generator=numbers) + shift for shift in (0.0, 3.0))
        found = terms(discriminator, real, fake, step % 4 == 0)
        assert ("r1" in found) == (step % 4 == 0)
        optimizer.zero_grad()
        (found["discriminator"] + 0.1 * found.get("r1", 0.0)).backward()
        optimizer.step()
    assert (discriminator(torch.zeros(1, 4)) > discriminator(torch.full((1, 4), 3.0))).all()


def test_layers_may_differ_one_after_the_other(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text(
        "trainer: encoder\ngenerator: {name: toy}\ndata: {path: x}\nfolder: x\nout: x\n"
        "delta_start: 10\ndelta_every: 5\n"
    )
    trainer = read(file)
    assert [trainer.open_layers(step) for step in (0, 9, 10, 14, 15, 100)] == [0, 0, 1, 1, 2, 19]
    assert read(file, ["delta_every=0"]).open_layers(10) == 6


@pytest.mark.parametrize("layers", [4, 6, 14, 18, 23])
def test_every_layer_belongs_to_one_group(layers):
    assert min(groups(layers)) > 0
    assert sum(groups(layers)) == layers


def test_terms_of_weight_0_cost_nothing_and_photographs_are_learnt(tmp_path):
    """The same few photographs, which are pictures of the generator, again and again."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    toy = Toy(size=16)
    for i, picture in enumerate(toy.render(toy.sample(list(range(3)), 1.0))):
        pixels = ((picture.clamp(-1, 1) + 1) * 127.5).byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder / f"{i}.png")
    file = tmp_path / "mine.yaml"
    file.write_text(
        f"trainer: encoder\ngenerator: {{name: toy, size: 16}}\ndata: {{path: {folder}}}\n"
        f"folder: {tmp_path}/run\nout: {tmp_path}/encoder.safetensors\nside: 16\nrank: 8\nbatch: 2\n"
        "pairs: {count: 8, batch: 2}\nsteps: 60\nfocus: 0\n"
        "losses: {pixel: 8.0, perceptual: 0, pair: 0, delta: 0, prior: 0, adversarial: 0, identity: 0}\n"
        "rates: {base: 3.0e-5, wide: 3.0e-5, heads: 2.0e-3, average: 0.9}\n"
        "every: {log: 1, sheet: 0, metrics: 0, checkpoint: 0}\n"
    )
    trainer = read(file)
    Loop(trainer, Processes(half=False)).run()
    rows = (tmp_path / "run" / "losses.csv").read_text().splitlines()
    column = rows[0].split(",").index("pixel")
    values = [float(row.split(",")[column]) for row in rows[1:]]
    assert np.mean(values[-3:]) < 0.75 * np.mean(values[:3])
    state = load_file(tmp_path / "encoder.safetensors")
    assert encoders.kind(state) == "lite"
    assert Path(trainer.result).stat().st_size < 25e6
