"""MobileStyleGAN: the fast path draws what the plain network draws, and gradients reach every style."""

import copy
import importlib.util

import pytest
import torch
from torch.nn import functional

from backends import Cut
from backends.generators.mobilestylegan import MobileStyleGAN
from backends.kernels.separable_reference import Plain
from backends.networks.mobilestylegan import Synthesis, inverse_haar
from backends.networks.mobilestylegan_fast import FastSynthesis

CHANNELS = (64, 64, 128, 64)  # at 4, 8, 16, 32 pixels: one block too small for the compiled kernels, two not
WAYS = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(not importlib.util.find_spec("numba"), reason="no numba")),
]


@pytest.fixture(scope="module")
def network() -> Synthesis:
    torch.manual_seed(0)
    synthesis = Synthesis(CHANNELS, dim=32).requires_grad_(False)
    for name, value in synthesis.named_parameters():
        if name.endswith(("noise", "bias")):
            value.normal_()  # all of them matter
    return synthesis


@pytest.fixture
def latents(network: Synthesis) -> torch.Tensor:
    return torch.randn(2, network.layers, 32, generator=torch.Generator().manual_seed(1))


def close(picture: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-5) -> bool:
    """Within `tolerance` of the size of the values, which random weights do not keep near one."""
    return float((picture - expected).abs().max()) <= tolerance * float(expected.abs().max())


def test_the_inverse_haar_transform_of_constant_bands():
    bands = torch.tensor([2.0, 4.0, 6.0, 8.0]).view(1, 4, 1, 1)  # low, vertical, horizontal, diagonal
    expected = torch.tensor([[10.0, -4.0], [-2.0, 0.0]]).view(1, 1, 2, 2)
    assert torch.equal(inverse_haar(bands), expected)


@pytest.mark.parametrize("compiled", WAYS)
def test_the_fast_path_draws_the_same_pictures(network, latents, compiled):
    with torch.no_grad():
        expected = network(latents)
    fast = FastSynthesis(network, compiled)
    assert close(fast(latents), expected)
    assert close(fast(latents, preview=True), functional.avg_pool2d(expected, 2))


@pytest.mark.parametrize("compiled", WAYS)
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_share_the_rows(network, latents, compiled, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert close(FastSynthesis(network, compiled)(latents), network(latents))
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("compiled", WAYS)
def test_whatever_row_changes_the_picture_is_as_if_drawn_anew(network, latents, compiled):
    fast, latent = FastSynthesis(network, compiled), latents[:1].clone()
    last = fast(latent)
    for row in range(network.layers):
        latent[0, row] += 1  # in place: what is kept must not be the caller's own tensor
        picture = fast(latent)
        assert torch.equal(picture, FastSynthesis(network, compiled)(latent)), f"row {row}"
        assert not torch.equal(picture, last), f"row {row}"
        last = picture
    assert torch.equal(fast(latent), last)


def computed(fast: FastSynthesis, monkeypatch) -> list[int]:
    """The blocks that are computed from now on, in order."""
    blocks: list[int] = []
    stages = fast.chain().stages
    block, picture = stages.block, stages.picture
    monkeypatch.setattr(stages, "block", lambda i, *rest, **more: blocks.append(i) or block(i, *rest, **more))
    if type(stages) is Plain:  # whose picture calls the last block
        return blocks
    last = len(stages.synthesis.blocks) - 1
    monkeypatch.setattr(stages, "picture", lambda *rest: blocks.append(last) or picture(*rest))
    return blocks


@pytest.mark.parametrize("compiled", WAYS)
def test_a_cut_is_resumed_where_it_was_made(network, latents, compiled):
    """At every layer, with maps of another latent, and as a preview; what is kept for drags stays right."""
    fast = FastSynthesis(network, compiled)
    for layer in range(network.layers):
        with torch.no_grad():
            expected = network.cut(latents, layer)
            picture = network.resume(expected, latents.flip(0))
            preview = network.resume(expected, latents.flip(0), preview=True)
        cut = fast.cut(latents, layer)
        before = cut.maps.clone()
        assert close(cut.maps, expected.maps), layer
        assert close(fast.resume(cut, latents.flip(0)), picture), layer
        assert close(fast.resume(cut, latents.flip(0), preview=True), preview), layer
        assert close(fast(latents), network(latents)), layer
        assert torch.equal(cut.maps, before), "maps are the caller's own"
        cut.maps.zero_()
        assert close(fast(latents), network(latents)), layer


@pytest.mark.parametrize("compiled", WAYS)
def test_resuming_computes_no_more_than_a_drag_behind_the_cut(network, latents, compiled, monkeypatch):
    fast, latent = FastSynthesis(network, compiled), latents[:1].clone()
    cut = fast.cut(latent, 3)
    shown = fast(latent)
    blocks = computed(fast, monkeypatch)
    fast.resume(Cut(3, cut.maps + 1), latent)
    assert blocks == [1, 2]
    del blocks[:]
    assert torch.equal(fast(latent), shown)  # what is kept is still there, and not of the other maps
    assert blocks == [2]
    del blocks[:]
    assert torch.equal(fast.cut(latent, 3).maps, cut.maps)
    assert blocks == []


@pytest.mark.parametrize("compiled", WAYS)
def test_the_fast_path_sees_changed_weights(network, latents, compiled):
    changed = copy.deepcopy(network)
    fast = FastSynthesis(changed, compiled)
    fast(latents)
    for value in changed.parameters():
        value.mul_(1.1)
        assert close(fast(latents), changed(latents))
    changed.head.weight = torch.nn.Parameter(changed.head.weight + 0.1, requires_grad=False)
    assert close(fast(latents), changed(latents))


def test_only_stages_with_changed_rows_are_computed(network, latents, monkeypatch):
    fast, latent = FastSynthesis(network, False), latents[:1].clone()
    fast(latent)
    blocks = computed(fast, monkeypatch)
    latent[0, 5] += 1  # of block 1 of three; the last one belongs to the picture
    fast(latent)
    assert blocks == [1, 2]


@pytest.mark.parametrize("compiled", WAYS)
def test_a_failed_picture_leaves_nothing_wrong_behind(network, latents, compiled, monkeypatch):
    fast = FastSynthesis(network, compiled)
    first = fast(latents[:1])
    with monkeypatch.context() as patch:
        patch.setattr(fast.chain().stages, "block", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            fast(latents[1:])
    assert torch.equal(fast(latents[:1]), first)


def test_a_copy_follows_its_own_weights(network, latents):
    fast = FastSynthesis(network, False)
    before = fast(latents[:1])
    other = copy.deepcopy(fast)
    other.synthesis.head.bias += 1
    assert not torch.equal(other(latents[:1]), before)
    assert torch.equal(fast(latents[:1]), before)


def test_one_and_many_latents_give_the_same_pictures(network, latents):
    each = torch.cat([network(latent[None]) for latent in latents])  # folds the styles into the weights
    assert close(network(latents), each)


def test_gradients_reach_every_style_and_are_right(network, latents):
    latents = latents[:1].clone().requires_grad_(True)
    aim = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    (network(latents) * aim).sum().backward()
    assert latents.grad is not None
    assert (latents.grad.norm(dim=2) > 0).all()
    exact = copy.deepcopy(network).double()
    step = torch.randn(latents.shape, generator=torch.Generator().manual_seed(3)).double() * 1e-6
    with torch.no_grad():
        low, high = exact(latents.double() - step), exact(latents.double() + step)
    expected = ((high - low) * aim).sum() / 2
    assert float((latents.grad.double() * step).sum()) == pytest.approx(float(expected), rel=1e-3)


def test_construction_reads_nothing():
    generator = MobileStyleGAN(weights="no such entry")
    assert (generator.size, generator.layers, generator.dim) == (1024, 23, 512)


# Mean sRGB (0-255) of 4x4 areas of the picture of seed 0 at truncation 0.7, made by OpenVINO in fp32.
ORACLE = [
    47.20, 120.47, 145.60, 68.43, 57.26, 146.34, 165.20, 69.47,
    42.15, 151.22, 166.29, 73.26, 32.75, 60.97, 69.67, 30.35,
    61.22, 105.45, 129.60, 80.43, 58.75, 111.80, 129.57, 59.48,
    61.98, 101.62, 116.24, 88.46, 54.89, 73.51, 78.36, 51.53,
    46.35, 102.05, 130.76, 66.21, 52.44, 119.04, 138.18, 61.04,
    80.71, 115.47, 131.15, 107.70, 80.01, 103.97, 104.82, 76.23,
]  # fmt: skip


@pytest.mark.weights
def test_the_real_network_draws_what_its_own_runtime_draws():
    generator = MobileStyleGAN()
    latents = generator.sample([0])
    assert generator.mean().norm(dim=2).max() == pytest.approx(4.123, abs=0.01)
    plain, fast = generator.synthesize(latents), generator.render(latents)
    assert float((plain - fast).abs().max()) < 5e-4
    squares = (functional.avg_pool2d(plain, 256) + 1) * 127.5
    assert torch.allclose(squares.flatten(), torch.tensor(ORACLE), atol=0.05)
    assert torch.allclose(generator.render(latents, preview=True), functional.avg_pool2d(fast, 2), atol=1e-4)
    assert [tuple(matrix.shape)[1] for matrix in generator.affines()] == [512] * 23
