"""Every inverter keeps the contract; the optimiser improves and leaves the generator alone."""

from dataclasses import replace

import pytest
import torch
from examples import settings
from examples.inverters import optimize
from examples.inverters.optimize import OFFLINE

import latents
from backends.decoders import Decoder, DecoderError
from backends.generators import Generator
from backends.generators.toy import Toy
from backends.inverters import Inverter
from backends.inverters._linear_head import LinearHead
from backends.inverters._space import Space
from backends.inverters.optimize import Optimize
from config import ConfigError, checked
from latents import LatentsError
from plugins import find, names

SETTINGS = optimize.settings(None, None)  # of the optimiser, without terms that need weights


class Shortcut(Toy):
    """A toy with a short cut: its maps are its picture at half the side, of which one colour is missing."""

    cut_layer = 3

    def activations(self, latents, layer):
        assert layer == self.cut_layer
        return torch.nn.functional.avg_pool2d(super().synthesize(latents), 2)[:, :2]


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def photo(toy):
    return toy.synthesize(toy.sample([3]))


def last(iterator):
    *_, inversion = iterator
    return inversion


def distance(inversion, photo):
    return (inversion.generator.synthesize(inversion.latents) - photo).square().mean().item()


@pytest.fixture
def deep():
    """As many layers as the examples' encoders answer with."""
    return Toy(layers=14)


def example(name, folder, generator):
    return checked(find(Inverter, name), settings("inverters", name, folder, generator))


@pytest.mark.parametrize("name", names(Inverter))
def test_the_last_inversion_is_the_result(name, deep, tmp_path):
    photo = deep.synthesize(deep.sample([3]))
    inversions = list(example(name, tmp_path, deep).invert(photo, deep))
    assert inversions[-1].step == inversions[-1].steps
    assert len({inversion.steps for inversion in inversions}) == 1
    steps = [inversion.step for inversion in inversions]
    assert steps == sorted(set(steps))
    for inversion in inversions:
        assert inversion.latents.shape == (1, deep.layers, deep.dim)
        assert not inversion.latents.requires_grad
        pictures = inversion.generator.render(inversion.latents)
        assert pictures.shape == photo.shape
        assert not pictures.requires_grad


@pytest.mark.parametrize("name", names(Inverter))
def test_one_may_ask_for_another_number_of_steps(name, deep, tmp_path):
    inverter = example(name, tmp_path, deep)
    planned = last(inverter.invert(deep.synthesize(deep.sample([3])), deep)).steps
    asked = last(inverter.invert(deep.synthesize(deep.sample([3])), deep, steps=inverter.steps + 2)).steps
    assert asked == (planned if inverter.steps == 1 else planned + 2)  # 1: it looks once


@pytest.mark.parametrize("name", names(Inverter))
def test_an_inverter_leaves_the_domains_generator_alone(name, deep, tmp_path):
    latents = deep.sample([5])
    before, fingerprint = deep.render(latents), deep.fingerprint
    found = last(example(name, tmp_path, deep).invert(deep.synthesize(deep.sample([3])), deep))
    assert torch.equal(deep.render(latents), before)
    assert deep.fingerprint == fingerprint
    assert all(not parameter.requires_grad for parameter in deep.parameters().values())
    own = isinstance(found.generator, Decoder)
    assert found.generator is deep or own
    assert (found.generator.fingerprint != fingerprint) == own


@pytest.mark.parametrize("name", names(Inverter))
def test_a_saved_inversion_comes_back_as_the_same_picture(name, deep, tmp_path):
    found = last(example(name, tmp_path, deep).invert(deep.synthesize(deep.sample([3])), deep))
    file = tmp_path / "found.npz"
    latents.save(file, found.latents, "toy", found.generator, ["me.jpg"])
    saved = latents.load(file)
    again = saved.decoding(Toy(layers=14))
    assert again.fingerprint == found.generator.fingerprint
    assert torch.equal(again.render(saved.values), found.generator.render(found.latents))
    if isinstance(found.generator, Decoder):
        with pytest.raises(DecoderError, match="another generator"):
            saved.decoding(Toy(layers=14, seed=1))
        with pytest.raises(LatentsError, match="npz"):
            latents.save(tmp_path / "found.npy", found.latents, "toy", found.generator, [])


def test_pivotal_tuning_comes_closer_than_its_pivot(toy, tmp_path):
    other = Toy(seed=1)  # no latent of the toy draws its pictures
    photo = other.synthesize(other.sample([3]))
    inversions = list(example("pivotal", tmp_path, toy).invert(photo, toy))
    pivot = next(each for each in reversed(inversions) if each.generator is toy)
    assert distance(inversions[-1], photo) < 0.8 * distance(pivot, photo)
    assert torch.equal(inversions[-1].latents, pivot.latents)


def test_the_locality_regulariser_holds_the_rest_still(toy, tmp_path):
    photo = Toy(seed=1).synthesize(Toy(seed=1).sample([3]))
    elsewhere = toy.sample([11, 12, 13], 1.0)

    def moved(locality):
        inverter = replace(example("pivotal", tmp_path, toy), locality=locality, radius=3.0)
        tuned = last(inverter.invert(photo, toy)).generator
        return (tuned.render(elsewhere) - toy.render(elsewhere)).square().mean().item()

    assert moved(1.0) < 0.5 * moved(0.0)


@pytest.mark.parametrize("generator", [Toy(), Shortcut()])
@pytest.mark.parametrize("start", ["mean", "random"])
def test_optimisation_improves_on_the_mean(generator, start):
    photo = generator.synthesize(generator.sample([4]))
    inverter = Optimize(losses=OFFLINE, steps=40, finish=10, start=start)
    mean = last(find(Inverter, "mean")().invert(photo, generator))
    assert distance(last(inverter.invert(photo, generator)), photo) < 0.8 * distance(mean, photo)


def test_intermediate_results_never_get_worse(toy, photo):
    inversions = list(
        Optimize(losses={"pixel": 8.0, "delta": 0, "prior": 0}, focus=0, steps=20).invert(photo, toy)
    )
    distances = [distance(inversion, photo) for inversion in inversions]
    assert distances == sorted(distances, reverse=True)
    assert set(inversions[-1].losses) == {"pixel", "delta", "prior"}


def test_results_stay_valid_after_cancelling(toy, photo):
    run = Optimize(losses=OFFLINE, steps=20).invert(photo, toy)
    first = next(run)
    before = first.latents.clone()
    next(run)
    run.close()
    assert torch.equal(first.latents, before)
    with pytest.raises(StopIteration):
        next(run)


def test_the_generator_gets_no_gradients(photo):
    toy = Toy().tunable()
    last(Optimize(**SETTINGS).invert(photo, toy))
    assert all(value.requires_grad and value.grad is None for value in toy.parameters().values())


def test_it_optimises_where_gradients_are_off(toy, photo):
    with torch.no_grad():
        found = last(Optimize(losses=OFFLINE, steps=20).invert(photo, toy))
    assert distance(found, photo) < distance(last(find(Inverter, "mean")().invert(photo, toy)), photo)


def test_it_goes_on_from_the_result_of_another_inverter(toy, photo):
    first = {"name": "optimize", "losses": OFFLINE, "steps": 6, "every": 2, "resolution": 32}
    inverter = checked(Optimize, {**SETTINGS, "start": first})
    inversions = list(inverter.invert(photo, toy))
    assert [each.steps for each in inversions] == [12] * len(inversions)
    steps = [each.step for each in inversions]
    assert steps == sorted(set(steps))
    begun = inversions[steps.index(6)].latents  # where the first inverter ended
    assert torch.allclose(
        begun,
        last(checked(Optimize, {k: v for k, v in first.items() if k != "name"}).invert(photo, toy)).latents,
        atol=1e-4,
    )
    assert distance(inversions[-1], photo) < distance(inversions[steps.index(6)], photo)


def test_a_seed_names_one_run(toy, photo):
    def found(seed):
        settings = {**SETTINGS, "start": "random", "seed": seed}
        return last(Optimize(**settings).invert(photo, toy)).latents

    assert torch.equal(found(1), found(1))
    assert not torch.allclose(found(1), found(2))


@pytest.mark.parametrize("generator", [Toy(), Shortcut()])
def test_images_of_a_batch_are_inverted_independently(generator):
    photos = generator.synthesize(generator.sample([3, 4]))
    inverter = Optimize(**SETTINGS)
    together = last(inverter.invert(photos, generator)).latents
    alone = torch.cat([last(inverter.invert(photo[None], generator)).latents for photo in photos])
    assert torch.allclose(together, alone, atol=1e-3)


def test_delta_regularisation_holds_the_layers_together(toy, photo):
    def spread(delta):
        return last(Optimize(losses={**OFFLINE, "delta": delta}, steps=20).invert(photo, toy)).losses["delta"]

    assert spread(100.0) < 0.5 * spread(0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"finish": -1}, "finish must be at least 0"),
        ({"losses": {"pixel": -1.0}}, "weight of pixel must be at least 0"),
        ({"losses": {"pixel": 0.0, "perceptual": 0, "identity": 0}}, "one of pixel, perceptual, identity"),
        ({"losses": {"closeness": 1.0}}, "no term 'closeness'; there are: pixel"),
        ({"start": "best"}, "start"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        checked(Optimize, settings)


@pytest.mark.weights
@pytest.mark.slow
def test_a_face_comes_closer_in_a_few_steps():
    generator = find(Generator, "mobilestylegan")()
    photo = generator.render(generator.sample([7]))
    inversions = list(Optimize(steps=8, finish=1).invert(photo, generator))
    first, result = inversions[0].losses, inversions[-1].losses
    assert result["identity"] < 0.7 * first["identity"]
    assert result["pixel"] < 0.7 * first["pixel"]
    assert result["perceptual"] < 0.9 * first["perceptual"]


def test_whitened_coordinates_lead_back_to_the_latents(toy):
    space, latents = Space.of(toy), toy.sample(list(range(500)), truncation=1.0)
    coordinates = space.coordinates(latents)
    assert torch.allclose(space.latents(coordinates), latents, atol=1e-4)
    assert coordinates[:, 0].std().item() == pytest.approx(1, abs=0.05)


def test_a_linear_head_is_true_where_it_was_fitted():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 16, 16, generator=source)
    head = torch.randn(12, 8, 1, 1, generator=source)
    pictures = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(features, head), 2) + 0.5
    head = LinearHead()
    for _ in range(3):  # every fit corrects what the last one's ridge left
        head.fit(features, pictures)
    assert torch.allclose(head.picture(features), pictures, atol=1e-4)
