"""Every generator keeps the contract: it can be cut at every layer, and a tunable copy is its own."""

import copy

import pytest
import torch
from examples import settings

from backends import Cut
from backends.generators import Generator
from plugins import build, names


@pytest.fixture(scope="module", params=names(Generator))
def generator(request, tmp_path_factory) -> Generator:
    """Each plugin with small random weights; shared, so not to be changed."""
    own = settings("generators", request.param, tmp_path_factory.mktemp("weights"))
    return build(Generator, {"name": request.param, **own})


@pytest.fixture
def latents(generator) -> torch.Tensor:
    """Two, with a vector of its own on every layer."""
    shape = (2, generator.layers, generator.dim)
    return generator.mean() + 0.5 * torch.randn(shape, generator=torch.Generator().manual_seed(1))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-4) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * float(b.abs().max()))


def others_behind(latents: torch.Tensor, layer: int) -> torch.Tensor:
    """The latents with other vectors on the layers behind `layer`."""
    return torch.cat([latents[:, : layer + 1], latents[:, layer + 1 :].flip(0) + 0.1], 1)


@pytest.mark.parametrize("gradients", [True, False])
def test_the_rest_of_the_way_from_every_layer(generator, latents, gradients):
    expected, preview = generator.synthesize(latents), generator.render(latents, preview=True)
    close(generator.render(latents), expected)
    with torch.set_grad_enabled(gradients):
        for layer in range(generator.layers):
            cut = generator.cut(latents, layer)
            assert cut.layer == layer
            close(generator.resume(cut, latents), expected)
            close(generator.resume(cut, latents, preview=True), preview)
            assert torch.equal(generator.activations(latents, layer), cut.maps)


def test_the_fast_path_cuts_where_the_definition_does(generator, latents):
    for layer in range(generator.layers):
        plain = generator.cut(latents, layer)
        with torch.no_grad():
            fast = generator.cut(latents, layer)
        close(fast.maps, plain.maps)
        assert (fast.skip is None) == (plain.skip is None)
        if fast.skip is not None:
            close(fast.skip, plain.skip)


@pytest.mark.parametrize("gradients", [True, False])
def test_a_cut_reads_the_layers_before_it_and_the_rest_those_behind(generator, latents, gradients):
    with torch.set_grad_enabled(gradients):
        for layer in range(generator.layers):
            cut, later = generator.cut(latents, layer), others_behind(latents, layer)
            again = generator.cut(later, layer)
            assert torch.equal(again.maps, cut.maps)
            assert (cut.skip is None) or torch.equal(again.skip, cut.skip)
            before = torch.cat([latents[:, : layer + 1].flip(0), later[:, layer + 1 :]], 1)
            close(generator.resume(cut, before), generator.synthesize(later))


def test_gradients_reach_maps_and_latents_and_are_right(generator, latents):
    exact, w = copy.deepcopy(generator), latents[:1].double().requires_grad_()
    exact._network.double()
    for layer in sorted({0, generator.layers // 2, generator.cut_layer, generator.layers - 1}):
        stopped = exact.cut(w.detach(), layer)
        maps = stopped.maps.requires_grad_()

        def rest(maps, w, stopped=stopped):
            return exact.resume(Cut(stopped.layer, maps, stopped.skip), w)

        assert torch.autograd.gradcheck(rest, (maps, w), fast_mode=True, atol=1e-3, rtol=1e-3)
        assert torch.autograd.gradcheck(
            lambda w, layer=layer: exact.cut(w, layer).maps, w, fast_mode=True, atol=1e-3, rtol=1e-3
        )
        gradients = torch.autograd.grad(rest(maps, w).square().sum(), [maps, w], materialize_grads=True)
        assert (gradients[0] != 0).any()
        assert (gradients[1] != 0).any(2)[0].tolist() == [j > layer for j in range(generator.layers)]
        reached = torch.autograd.grad(exact.cut(w, layer).maps.square().sum(), w)[0]
        assert (reached != 0).any(2)[0].tolist() == [j <= layer for j in range(generator.layers)]


def test_there_is_no_cut_behind_the_last_layer(generator, latents):
    for layer in (-1, generator.layers):
        with pytest.raises(IndexError, match=f"no layer {layer}"):
            generator.cut(latents, layer)


def test_a_copy_can_be_made_after_the_first_picture(generator, latents):
    picture = generator.render(latents)
    other = copy.deepcopy(generator)
    assert torch.equal(other.render(latents), picture)
    with torch.no_grad():
        for value in other.parameters().values():
            value.mul_(1.5)
    assert not torch.allclose(other.render(latents), picture, rtol=0.01)
    assert torch.equal(generator.render(latents), picture)


def test_a_tunable_copy_is_independent_and_its_pictures_follow_its_weights(generator, latents):
    picture = generator.render(latents)
    tuned = generator.tunable()
    assert torch.equal(tuned.render(latents), picture)
    assert all(value.requires_grad and value.is_leaf for value in tuned.parameters().values())
    assert not any(value.requires_grad for value in generator.parameters().values())
    for _ in range(2):  # as optimisers do
        loss = tuned.synthesize(latents).square().mean()
        names, values = zip(*tuned.parameters().items(), strict=True)
        gradients = torch.autograd.grad(loss, values)
        assert all((gradient != 0).any() for gradient in gradients), names
        with torch.no_grad():
            for value, gradient in zip(values, gradients, strict=True):
                value -= 0.05 * value.abs().mean().clamp(min=0.01) * gradient.sign()
        shown, defined = tuned.render(latents), tuned.synthesize(latents).detach()
        close(shown, defined)
        assert not shown.requires_grad
        with torch.no_grad():
            close(tuned.resume(tuned.cut(latents, generator.cut_layer), latents), defined)
    assert (shown - picture).abs().mean() > 1e-3 * picture.abs().mean()
    assert torch.equal(generator.render(latents), picture)
    assert torch.equal(tuned.sample([3]), generator.sample([3]))


def test_the_fingerprint_of_a_tunable_copy_is_that_of_its_weights(generator):
    first, second = generator.tunable(), generator.tunable()
    assert first.fingerprint == second.fingerprint == generator.fingerprint
    found = {generator.fingerprint}
    for name in [*generator.parameters()][::7]:
        with torch.no_grad():
            first.parameters()[name].add_(1)
        assert first.fingerprint not in found, name
        found.add(first.fingerprint)
    assert len(first.fingerprint) == 64
    assert copy.deepcopy(first).fingerprint == first.tunable().fingerprint == first.fingerprint
    for source in (first, generator):
        with torch.no_grad():
            for name, value in second.parameters().items():
                value.copy_(source.parameters()[name])
        assert second.fingerprint == source.fingerprint
