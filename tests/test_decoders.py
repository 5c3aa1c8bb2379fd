"""Every decoder keeps the contract: the space of its base, its own fingerprint, its way through files."""

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

import latents
from backends.decoders import Decoder, DecoderError, Stored
from backends.generators.toy import Toy
from backends.inverters import Inversion
from editor import Editor
from plugins import find, names
from sharing import Shared, ShareError, ShareStore

CONFIGS = Path(__file__).parent / "configs"
EDIT = {"SeFa/SeFa 1": 1.5, "SeFa/SeFa 2": -1.0}


def decoder(name, base):
    return find(Decoder, name)(base, import_module(f"examples.decoders.{name}").delta(base))


@pytest.mark.parametrize("name", names(Decoder))
def test_it_has_the_space_of_its_base_and_draws_other_pictures(name):
    base, own = Toy(), decoder(name, Toy())
    codes = base.sample([1, 2])
    assert torch.equal(own.sample([1, 2]), codes)
    assert (own.size, own.layers, own.dim, own.z_dim) == (base.size, base.layers, base.dim, base.z_dim)
    assert torch.equal(own.mean(), base.mean())
    assert not torch.allclose(own.render(codes), base.render(codes), atol=0.01)
    torch.testing.assert_close(own.synthesize(codes), own.render(codes), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", names(Decoder))
def test_it_can_be_cut_at_every_layer_and_tuned(name):
    own = decoder(name, Toy())
    codes = own.sample([1, 2])
    with torch.no_grad():
        for layer in range(own.layers):
            resumed = own.resume(own.cut(codes, layer), codes)
            torch.testing.assert_close(resumed, own.render(codes), rtol=1e-4, atol=1e-4)
    tuned = own.tunable()
    assert tuned.parameters().keys() == own.parameters().keys()
    assert all(parameter.requires_grad for parameter in tuned.parameters().values())
    assert not any(parameter.requires_grad for parameter in own.parameters().values())
    torch.testing.assert_close(tuned.render(codes), own.render(codes), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        for parameter in tuned.parameters().values():
            parameter += 0.5
    assert not torch.allclose(tuned.render(codes), own.render(codes), atol=0.01)


@pytest.mark.parametrize("name", names(Decoder))
def test_the_fingerprint_is_that_of_base_and_delta(name):
    own = decoder(name, Toy())
    assert own.fingerprint == decoder(name, Toy()).fingerprint
    first = next(iter(own.delta))
    changed = replace(own, delta=own.delta | {first: own.delta[first] / 2})
    others = [Toy(), decoder(name, Toy(seed=1)), changed]
    assert len({own.fingerprint, *(other.fingerprint for other in others)}) == 4


@pytest.mark.parametrize("name", names(Decoder))
def test_what_cannot_be_restored_is_refused(name):
    own = decoder(name, Toy())
    stored = Stored.of(own)
    assert torch.equal(stored.restored(Toy()).render(own.mean()), own.render(own.mean()))
    for other in (Toy(seed=1), Toy(layers=7)):
        with pytest.raises(DecoderError, match="another generator"):
            stored.restored(other)
    with pytest.raises(DecoderError, match=r"no Decoder is called 'gone'; there are: .*tuned"):
        replace(stored, decoder="gone").restored(Toy())
    for bad in ({"nothing": torch.zeros(3)}, {k: v[:1] for k, v in own.delta.items()}):
        with pytest.raises(DecoderError, match="does not fit"):
            replace(stored, delta=bad).restored(Toy())


@pytest.fixture
def editor():
    return Editor.load("toy", CONFIGS)


@pytest.fixture
def inverted(editor):
    """A photograph that only a tuned generator draws."""
    other = Toy(seed=1)
    crop = editor.render(Inversion(other.sample([3]), other))
    *_, inversion = editor.invert(crop, "pivotal")
    assert isinstance(inversion.generator, Decoder)
    return inversion


def pixels(editor, inversion):
    return np.asarray(editor.render(inversion, EDIT))


def test_a_file_gives_the_same_picture_again(editor, inverted, tmp_path):
    latents.save(tmp_path / "me.npz", inverted.latents, editor.name, inverted.generator, ["me.jpg"])
    saved = latents.load(tmp_path / "me.npz")
    fresh = Editor.load(saved.domain, CONFIGS)
    again = Inversion(saved.values, saved.decoding(fresh.generator))
    assert np.array_equal(pixels(fresh, again), pixels(editor, inverted))
    plain = Inversion(saved.values, fresh.generator)
    assert not np.array_equal(pixels(fresh, plain), pixels(editor, inverted))


def test_a_record_gives_the_same_picture_again(editor, inverted, tmp_path):
    store, stored = ShareStore(tmp_path / "shares"), Stored.of(inverted.generator)
    shared = Shared(
        editor.name,
        stored.fingerprint,
        inverted.latents.numpy(),
        EDIT,
        {},
        stored.decoder,
        {name: tensor.numpy() for name, tensor in stored.delta.items()},
    )
    identity, _ = store.add(shared, days=1)
    found = store.open(identity)
    delta = {name: torch.from_numpy(values) for name, values in found.delta.items()}
    decoder = Stored(found.fingerprint, found.decoder, delta).restored(Toy())
    again = Inversion(torch.from_numpy(found.latents), decoder)
    difference = pixels(editor, again).astype(float) - pixels(editor, inverted)
    assert np.abs(difference).max() <= 1  # records keep latents as float16
    with pytest.raises(ShareError, match=r"the generator that was tuned for it takes .* MB of at most"):
        replace(store, record_bytes=1000).add(shared, days=1)
