"""The photograph stays the photograph: exactly at zero, moved along by edits, hidden by what is new."""

import gc

import pytest
import torch
from examples import settings
from PIL import ImageChops

from backends import transport
from backends.comparison import Comparison
from backends.decoders import residual
from backends.decoders.residual import Residual
from backends.generators import Generator
from backends.generators.toy import Toy
from backends.inverters.residual import Residual as Inverter
from backends.inverters.residual import _matching
from backends.photos import to_images, to_pil
from backends.transport import Match, Motion, Still
from config import checked
from plugins import find, names


@pytest.fixture(params=names(Generator))
def generator(request, tmp_path):
    return checked(find(Generator, request.param), settings("generators", request.param, tmp_path))


def photograph(size):
    levels = torch.randint(0, 256, (1, 3, size, size), generator=torch.Generator().manual_seed(0))
    return levels / 127.5 - 1


def exact(generator, match=1):
    target = photograph(generator.size)
    latents = generator.sample([1]).half().float()
    return Residual.of(generator, latents, target, match).completed(target), latents, target


def test_unedited_it_is_the_photograph_to_the_last_level(generator):
    decoder, latents, target = exact(generator)
    same = ImageChops.difference(to_pil(decoder.render(latents))[0], to_pil(target)[0])
    assert same.getbbox() is None
    assert torch.equal(to_images(to_pil(decoder.synthesize(latents).detach())[0], generator.size), target)


def test_an_edit_is_seen_and_gradients_pass(generator):
    decoder, latents, target = exact(generator)
    edited = (latents + 0.5).requires_grad_()
    drawn = decoder.synthesize(edited)
    change = generator.synthesize(edited) - generator.synthesize(latents)  # weights at random: of any size
    assert (drawn - target).abs().mean() > 0.05 * change.abs().mean()
    assert torch.autograd.grad(drawn.square().sum(), edited)[0].abs().sum() > 0
    close = 1e-3 * max(1, float(drawn.detach().abs().max()))
    torch.testing.assert_close(decoder.render(edited.detach()), drawn.detach(), rtol=1e-3, atol=close)


def test_the_photograph_is_not_stored():
    decoder, _, _ = exact(Toy(size=512))
    assert {value.dtype for value in decoder.delta.values()} == {
        torch.float16,
        torch.float32,
        torch.int8,
        torch.uint8,
    }
    assert decoder.delta["residual"].shape == (3, 256, 256)


def test_what_is_stored_draws_nearly_the_photograph():
    smooth = torch.nn.functional.interpolate(photograph(8), (64, 64), mode="bicubic").clamp(-1, 1)
    decoder = Residual.of(Toy(), Toy().sample([1]), smooth, 1)
    assert (decoder.render(decoder.own) - smooth).abs().max() < 0.02


class Sides(Toy):
    """A generator whose maps after each layer have these sides."""

    def __init__(self, size, *sides):
        super().__init__(size, len(sides))
        self.sides = sides

    def activations(self, latents, layer):
        return torch.zeros(1, 1, self.sides[layer], self.sides[layer])


COMPACT = (4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64, 128, 128, 128)


@pytest.mark.parametrize(
    ("size", "sides", "layer"),
    [
        (64, (*COMPACT[:10], 32), 6),
        (128, (*COMPACT[:13], 64), 9),
        (256, (*COMPACT, 128), 12),
        (256, (4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256), 9),
        (1024, (4, 4, 8, 8, 16, 16, 32, 32, 64, 64, 128, 128, 256, 256, 512, 512, 1024, 1024), 9),
        (8, (8, 8), 0),
    ],
)
def test_motion_is_looked_for_in_parts_of_things(size, sides, layer):
    generator = Sides(size, *sides)
    assert _matching(generator, generator.mean()) == layer


def test_a_photograph_at_a_time():
    toy = Toy()
    with pytest.raises(ValueError, match="one photograph, here are 2"):
        next(Inverter(start={"name": "mean"}).invert(photograph(64).repeat(2, 1, 1, 1), toy))
    twice = Inverter(start={"name": "residual", "start": {"name": "mean"}}).invert(photograph(64), toy)
    with pytest.raises(ValueError, match="decoder of its own"):
        next(twice)


# transport


def noise(channels, side, seed=0):
    source = torch.Generator().manual_seed(seed)
    return torch.randn(1, channels, side, side, generator=source)


def features(after, before):
    """Of maps, as many as these have channels."""
    comparison = Comparison.of(before)
    read = (torch.einsum("nchw,fc->nfhw", maps, comparison.matrix) for maps in (after, before))
    return [comparison.features(each) for each in read]


def shifted(x, right, down):
    return torch.roll(x, (down, right), (2, 3))


@pytest.mark.parametrize("way", [(0, 0), (1, 0), (-5, 3), (8, -6)])
def test_motion_finds_where_maps_came_from(way):
    before = torch.nn.functional.avg_pool2d(noise(32, 68), 5, 1)
    offsets = transport.motion(*features(shifted(before, *way), before))
    middle = offsets[0, :, 16:-16, 16:-16]
    expected = torch.tensor([-way[0], -way[1]]).float().view(2, 1, 1).expand_as(middle)
    assert (middle - expected).abs().median() < 0.1
    assert ((middle - expected).abs().amax(0) < 0.5).float().mean() > 0.95


def test_no_motion_without_evidence():
    assert transport.motion(*features(noise(32, 64, 1), noise(32, 64, 2))).abs().max() == 0
    plain = torch.ones(1, 8, 64, 64) + 1e-3 * noise(8, 64)
    assert transport.motion(*features(plain, plain)).abs().max() == 0


def test_a_change_of_colour_hides_nothing_and_a_new_pattern_does():
    maps = torch.nn.functional.avg_pool2d(noise(32, 68), 5, 1)
    before = 0.3 * torch.nn.functional.interpolate(noise(3, 32), (128, 128))
    tinted = before + torch.tensor([0.4, -0.2, 0.1]).view(1, 3, 1, 1)
    assert transport.follow(Match.same(maps), tinted, before).seen.min() > 0.99
    after = before.clone()
    after[..., 40:90, 40:90] = 0.3 * torch.nn.functional.interpolate(noise(3, 25, 5), (50, 50))
    seen = transport.follow(Match.same(maps), after, before).seen
    assert seen[..., 55:75, 55:75].mean() < 0.4
    assert seen[..., :25, :].min() > 0.99


def test_what_stays_keeps_the_edit_and_what_moves_keeps_the_photographs_texture():
    still = Still(photograph(64) * 0.6 + 0.1, photograph(64))
    seen = torch.ones(1, 1, 64, 64)
    wrinkle = torch.zeros(1, 3, 64, 64)
    wrinkle[..., 30, :] = -0.5
    at_rest = Motion(torch.zeros(1, 2, 64, 64), seen)
    torch.testing.assert_close(
        transport.carried(still.drawn + wrinkle, at_rest, still), still.photograph + wrinkle
    )
    moving = Motion(torch.full((1, 2, 64, 64), 2.0), seen)
    carried = transport.carried(noise(3, 64, 7) * 0.2, moving, still)
    texture = carried - torch.nn.functional.avg_pool2d(carried, 5, 1, 2)
    wanted = shifted(still.photograph, -2, -2)
    wanted = wanted - torch.nn.functional.avg_pool2d(wanted, 5, 1, 2)
    inside = (..., slice(8, -8), slice(8, -8))
    assert torch.corrcoef(torch.stack([texture[inside].flatten(), wanted[inside].flatten()]))[0, 1] > 0.95


def test_what_the_generator_never_drew_takes_coarse_changes_alone():
    still = Still(0.5 * noise(3, 64), photograph(64))
    assert still.doubt.mean() > 0.8
    unmoved = Motion(torch.zeros(1, 2, 64, 64), torch.ones(1, 1, 64, 64))
    pattern = 0.5 * noise(3, 64, 3)
    middle = (..., slice(16, -16), slice(16, -16))
    change = (transport.carried(still.drawn + 0.3 + pattern, unmoved, still) - still.photograph)[middle]
    assert abs(float(change.mean()) - 0.3) < 0.05
    assert change.std() < 0.5 * pattern.std()


def test_what_cannot_be_seen_is_the_generators_in_the_colours_around():
    drawn = 0.2 * noise(3, 64)
    still = Still(drawn, drawn + 0.3)  # the photograph is lighter everywhere
    seen = torch.ones(1, 1, 64, 64)
    seen[..., 28:36, 28:36] = 0
    carried = transport.carried(drawn, Motion(torch.zeros(1, 2, 64, 64), seen), still)
    torch.testing.assert_close(carried[..., 30:34, 30:34], drawn[..., 30:34, 30:34] + 0.3, rtol=0, atol=0.08)


def test_unedited_pictures_are_kept_for_the_decoders_used_last_only(monkeypatch):
    """Memory is bounded, whoever is dragged; what was let go is made again."""
    monkeypatch.setattr(residual, "MOST_SCENES", 2)
    decoders = [exact(Toy())[0] for _ in range(4)]
    edited = decoders[0].own + 0.2
    first = [each.render(edited) for each in decoders]
    assert len(residual._SCENES._kept) == 2
    assert all(torch.equal(each.render(edited), before) for each, before in zip(decoders, first, strict=True))
    del decoders, first
    gc.collect()
    assert len(residual._SCENES._kept) == 0
