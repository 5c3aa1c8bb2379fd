"""A residual on every generator: what does not move is not moved, and files give the same picture again."""

import pytest
import torch
from examples import settings

import latents as files
from backends.decoders.residual import Residual
from backends.generators import Generator
from backends.inverters.residual import Residual as Inverter
from backends.inverters.residual import _matching
from config import checked
from plugins import find, names


@pytest.fixture(params=names(Generator))
def generator(request, tmp_path):
    return checked(find(Generator, request.param), settings("generators", request.param, tmp_path))


@pytest.fixture(autouse=True)
def quietly():
    with torch.no_grad():
        yield


def photograph(size):
    return torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_maps_are_read_through_a_matrix(generator):
    codes = generator.sample([1, 2])
    for layer in range(generator.layers):
        maps = generator.cut(codes, layer).maps
        for outputs in (3, 17):
            matrix = torch.randn(outputs, maps.shape[1], generator=torch.Generator().manual_seed(1))
            wanted = torch.einsum("nchw,oc->nohw", maps, matrix)
            read = generator.read(codes, layer, matrix)
            torch.testing.assert_close(read, wanted, rtol=1e-4, atol=1e-4 * float(wanted.abs().max()))
    with pytest.raises(IndexError, match="there is no layer"):
        generator.read(codes, generator.layers, matrix)


def test_what_is_kept_of_other_latents_does_no_harm(generator):
    first, second = generator.sample([1, 2]).split(1)
    late = torch.cat([first[:, :2], second[:, 2:]], 1)
    for codes in (first, late, second, first):
        wanted = generator.synthesize(codes)
        for layer in (1, 0, 2):
            cut = generator.cut(codes, layer)
            torch.testing.assert_close(generator.resume(cut, codes), wanted, rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(generator.render(codes), wanted, rtol=1e-3, atol=1e-3)
    changed = generator.tunable()
    changed.cut(first, 1)
    for parameter in changed.parameters().values():
        parameter += 0.1
    torch.testing.assert_close(changed.render(first), changed.synthesize(first), rtol=1e-3, atol=1e-3)


def test_late_layers_move_nothing_and_early_ones_are_found_again(generator):
    own = generator.sample([1])
    decoder = Residual.of(generator, own, photograph(generator.size), 1)
    late, early = decoder.own.clone(), decoder.own.clone()
    late[:, 2:] += 0.5
    early[:, :2] += 0.5
    motion = decoder.motion(generator.render(late), late)
    assert motion.offsets.abs().max() == 0
    before = decoder.render(early)
    assert not torch.equal(decoder.render(late), before)
    assert torch.equal(decoder.render(early), before)
    other = Residual(generator, decoder.delta)
    torch.testing.assert_close(other.render(early), before)


def test_matching_nothing_new_is_what_is_found_without_a_short_cut(generator):
    own = generator.sample([1]).half().float()
    match = _matching(generator, own)
    decoder = Residual.of(generator, own, photograph(generator.size), match)
    short = decoder._matched(decoder.own)
    nearly = decoder.own + 1e-6
    found = decoder._matched(nearly)
    assert torch.equal(short.offsets, torch.zeros_like(short.offsets))
    torch.testing.assert_close(found.offsets, short.offsets, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.likeness, short.likeness, rtol=0, atol=1e-2)


def test_an_inversion_that_was_saved_draws_the_same(generator, tmp_path):
    target = photograph(generator.size)
    *_, inversion = Inverter(start={"name": "mean"}).invert(target, generator)
    files.save(tmp_path / "me.npz", inversion.latents, "domain", inversion.generator, ["me"])
    saved = files.load(tmp_path / "me.npz")
    again = saved.decoding(generator)
    edited = inversion.latents + 0.2
    for codes in (inversion.latents, edited):
        torch.testing.assert_close(again.render(codes), inversion.generator.render(codes), rtol=0, atol=1e-5)
