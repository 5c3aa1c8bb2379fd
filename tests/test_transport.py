"""The compiled loops of transport against their reference in torch, and what transport promises."""

import pytest
import torch
import torch.nn.functional as F

from backends import comparison, kernels, transport
from backends.comparison import Comparison
from backends.transport import Match, Motion, Still

pytest.importorskip("numba")
SIDES = (1, 5, 21, 64, 96)


@pytest.fixture(autouse=True)
def quietly():
    with torch.no_grad():
        yield


@pytest.fixture
def fast():
    found = kernels.compiled("transport")
    assert found
    return found


@pytest.fixture
def slow(monkeypatch):
    """Calls a function of transport without compiled loops."""

    def call(function, *arguments):
        with monkeypatch.context() as patch:
            for module in (transport, comparison):
                patch.setattr(module, "compiled", lambda *_: None)
            return function(*arguments)

    return call


def noise(*shape, seed=0, smooth=3):
    """Random maps that are alike where they are near."""
    x = torch.randn(1, *shape, generator=torch.Generator().manual_seed(seed))
    return transport._mean(x, smooth)


def features(channels, side, seed=0):
    return F.normalize(noise(channels, side, side, seed=seed), dim=1)


def shifted(x, right, down):
    return torch.roll(x, (down, right), (2, 3))


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize(("channels", "window"), [(3, 1), (64, 2), (37, 6)])
def test_searching_and_comparing(fast, slow, side, channels, window):
    new, old = features(channels, side), features(channels, side, seed=1)
    start = 3 * noise(2, side, side, seed=2)
    for begun in (None, start):
        numbers = begun, window, 0.01, 0.002
        wanted = slow(transport._searched, new, old, *numbers)
        found = transport._searched(new, old, *numbers)
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
        assert side == 1 or wanted.std() > 0.01  # there is something to find
    wanted = slow(transport._alike, new, old, start)
    torch.testing.assert_close(transport._alike(new, old, start), wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("size", [1, 7, 64])
def test_warping(fast, slow, side, size):
    x, offsets = noise(3, side, side), 9 * noise(2, size, size, seed=1)
    wanted = slow(transport.warp, x, offsets)
    torch.testing.assert_close(transport.warp(x, offsets), wanted, rtol=1e-3, atol=1e-4)
    wanted = slow(transport.resized, offsets, side)
    torch.testing.assert_close(transport.resized(offsets, side), wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("side", [5, 96, 128, 256])
@pytest.mark.parametrize("amount", [0, 4])
def test_composing(slow, side, amount):
    still, drawn = Still(noise(3, side, side), noise(3, side, side, seed=1)), noise(3, side, side, seed=2)
    motion = Motion(amount * noise(2, 16, 16, seed=3), torch.rand(1, 1, 32, 32))
    found, wanted = transport.carried(drawn, motion, still), slow(transport.carried, drawn, motion, still)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("side", SIDES)
def test_windows(fast, slow, side):
    a, b = noise(3, side, side), noise(3, side, side, seed=1)
    wanted = slow(transport.structure, a, b)
    torch.testing.assert_close(transport.structure(a, b), wanted, rtol=1e-3, atol=2e-3)
    for width in (3, 5, 7):
        torch.testing.assert_close(transport._mean(a, width), slow(transport._mean, a, width))
    compared = Comparison(torch.eye(3), noise(3, 1, 1, seed=4)[0])
    torch.testing.assert_close(compared.features(a), slow(compared.features, a))
    for factor in (1, 2, 5):
        if side % factor == 0:
            torch.testing.assert_close(transport._pooled(a, factor), slow(transport._pooled, a, factor))


@pytest.mark.parametrize("side", [16, 64])
def test_following_agrees_as_a_whole(slow, side):
    old, picture = features(20, side, seed=1), noise(3, 2 * side, 2 * side)
    new = F.normalize(shifted(old, 3, -2) + 0.2 * features(20, side, seed=2), dim=1)
    after = shifted(picture, 6, -4)
    matches = Match.of(new, old), slow(Match.of, new, old)
    found = transport.follow(matches[0], after, picture)
    wanted = slow(transport.follow, matches[1], after, picture)
    for name in ("offsets", "seen"):
        difference = (getattr(found, name) - getattr(wanted, name)).abs()
        assert difference.mean() < 1e-3, name  # single places may fall to the other side of a threshold


def test_batches_and_gradients_take_the_reference():
    x = noise(3, 8, 8).expand(2, -1, -1, -1)
    offsets = noise(2, 4, 4).expand(2, -1, -1, -1)
    torch.testing.assert_close(transport.warp(x, offsets)[:1], transport.warp(x[:1], offsets[:1]))
    with torch.enable_grad():
        leaf = x[:1].clone().requires_grad_(True)
        transport.warp(leaf, offsets[:1]).sum().backward()
    assert leaf.grad is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_broken_numbers_stay_inside_the_arrays(fast, value):
    broken, offsets = torch.full((1, 8, 32, 32), value), torch.full((1, 2, 32, 32), value)
    fast.searched(broken, broken, offsets, 2, 0.01, 0.002)
    fast.products(broken, broken, offsets)
    assert fast.warp(noise(3, 64, 64), offsets).shape == (1, 3, 64, 64)


def test_projected_features_find_nearly_what_all_channels_find(monkeypatch):
    """Offsets to a fraction of a place, on maps with few strong components and many weak ones."""
    source = torch.Generator().manual_seed(0)
    strength = 1 / torch.arange(1.0, 257) ** 0.5
    mixing = torch.linalg.qr(torch.randn(256, 256, generator=source))[0] * strength
    before = torch.einsum("ck,nkhw->nchw", mixing, noise(256, 64, 64, seed=1))
    after = shifted(before, 3, 2) + 0.02 * noise(256, 64, 64, seed=2)
    found = []
    for count in (64, 256):
        monkeypatch.setattr(comparison, "FEATURES", count)
        compared = Comparison.of(before)
        assert len(compared.matrix) == count
        new, old = (
            compared.features(torch.einsum("nchw,fc->nfhw", maps, compared.matrix))
            for maps in (after, before)
        )
        found.append(transport.motion(new, old))
    assert (found[1].mean((2, 3)) - torch.tensor([-3.0, -2.0])).abs().max() < 0.3
    assert (found[0] - found[1]).norm(dim=1).mean() < 0.2
