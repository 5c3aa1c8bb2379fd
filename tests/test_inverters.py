"""Every inverter keeps the contract; the optimiser improves and leaves the generator alone."""

import pytest
import torch

from backends.generators import Generator
from backends.generators.toy import Toy
from backends.inverters import Inverter
from backends.inverters._space import Space
from backends.inverters._surrogate import Surrogate
from backends.inverters.optimize import Optimize
from config import ConfigError, checked
from plugins import find, names

OFFLINE = {"perceptual": 0.0, "identity": 0.0}  # the terms that need weights
SETTINGS = {"optimize": {**OFFLINE, "steps": 6, "finish": 2, "every": 2, "resolution": 32}}
WITHOUT_TRAINING = [name for name in names(Inverter) if name in ("mean", "optimize")]


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


@pytest.mark.parametrize("name", WITHOUT_TRAINING)
def test_the_last_inversion_is_the_result(name, toy, photo):
    inversions = list(checked(find(Inverter, name), SETTINGS.get(name, {})).invert(photo, toy))
    assert inversions[-1].step == inversions[-1].steps
    assert [inversion.step for inversion in inversions] == sorted(
        {inversion.step for inversion in inversions}
    )
    for inversion in inversions:
        assert inversion.latents.shape == (1, toy.layers, toy.dim)
        assert not inversion.latents.requires_grad
        assert inversion.generator is toy


@pytest.mark.parametrize("generator", [Toy(), Shortcut()])
@pytest.mark.parametrize("start", ["mean", "random"])
def test_optimisation_improves_on_the_mean(generator, start):
    photo = generator.synthesize(generator.sample([4]))
    inverter = Optimize(**OFFLINE, steps=40, finish=10, start=start)
    mean = last(find(Inverter, "mean")().invert(photo, generator))
    assert distance(last(inverter.invert(photo, generator)), photo) < 0.8 * distance(mean, photo)


def test_intermediate_results_never_get_worse(toy, photo):
    inversions = list(Optimize(**OFFLINE, closeness=0, typicality=0, focus=0, steps=20).invert(photo, toy))
    distances = [distance(inversion, photo) for inversion in inversions]
    assert distances == sorted(distances, reverse=True)
    assert set(inversions[-1].losses) == {"pixel", "closeness", "typicality"}


def test_results_stay_valid_after_cancelling(toy, photo):
    run = Optimize(**OFFLINE, steps=20).invert(photo, toy)
    first = next(run)
    before = first.latents.clone()
    next(run)
    run.close()
    assert torch.equal(first.latents, before)
    with pytest.raises(StopIteration):
        next(run)


def test_the_generator_gets_no_gradients(photo):
    toy = Toy().tunable()
    last(Optimize(**SETTINGS["optimize"]).invert(photo, toy))
    assert all(value.requires_grad and value.grad is None for value in toy.parameters().values())


def test_it_optimises_where_gradients_are_off(toy, photo):
    with torch.no_grad():
        found = last(Optimize(**OFFLINE, steps=20).invert(photo, toy))
    assert distance(found, photo) < distance(last(find(Inverter, "mean")().invert(photo, toy)), photo)


def test_a_given_start_is_where_it_begins(toy, photo):
    start = toy.sample([8])
    start[:, 2] += 0.5
    first = next(Optimize(**SETTINGS["optimize"]).invert(photo, toy, start))
    assert torch.allclose(first.latents, start, atol=1e-4)


def test_a_seed_names_one_run(toy, photo):
    def found(seed):
        settings = {**SETTINGS["optimize"], "start": "random", "seed": seed}
        return last(Optimize(**settings).invert(photo, toy)).latents

    assert torch.equal(found(1), found(1))
    assert not torch.allclose(found(1), found(2))


@pytest.mark.parametrize("generator", [Toy(), Shortcut()])
def test_images_of_a_batch_are_inverted_independently(generator):
    photos = generator.synthesize(generator.sample([3, 4]))
    inverter = Optimize(**SETTINGS["optimize"])
    together = last(inverter.invert(photos, generator)).latents
    alone = torch.cat([last(inverter.invert(photo[None], generator)).latents for photo in photos])
    assert torch.allclose(together, alone, atol=1e-3)


def test_closeness_holds_the_rows_together(toy, photo):
    def spread(closeness):
        return last(Optimize(**OFFLINE, closeness=closeness, steps=20).invert(photo, toy)).losses["closeness"]

    assert spread(100.0) < 0.5 * spread(0.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"finish": -1}, "finish must be at least 0"),
        ({"pixel": -1.0}, "weight pixel must be at least 0"),
        ({**OFFLINE, "pixel": 0.0}, "one of perceptual, pixel and identity"),
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


def test_a_surrogate_is_true_where_it_was_fitted():
    source = torch.Generator().manual_seed(0)
    features = torch.randn(2, 8, 16, 16, generator=source)
    head = torch.randn(12, 8, 1, 1, generator=source)
    pictures = torch.nn.functional.pixel_shuffle(torch.nn.functional.conv2d(features, head), 2) + 0.5
    surrogate = Surrogate()
    for _ in range(3):  # every fit corrects what the last one's ridge left
        surrogate.fit(features, pictures)
    assert torch.allclose(surrogate.picture(features), pictures, atol=1e-4)
