"""StyleGAN generators: the fast path is the plain one, gradients flow, rows do what affines() says."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from synthetic_checkpoints import nvidia, stylegan1

from backends import kernels
from backends.checkpoints import CheckpointError
from backends.generators.stylegan1 import StyleGAN1
from backends.generators.stylegan2 import StyleGAN2
from backends.kernels import winograd_reference
from backends.networks import stylegan1 as first
from backends.networks import stylegan2, stylegan2_fast
from backends.weights import WeightsError

CHANNELS, DIM = [6, 6, 6, 4], 16


@pytest.fixture
def two(tmp_path):
    """A StyleGAN2 of 32 x 32."""
    torch.save(nvidia(CHANNELS, DIM), tmp_path / "two.pt")
    return StyleGAN2(str(tmp_path / "two.pt"))


@pytest.fixture
def one(tmp_path):
    """A StyleGAN1 of 32 x 32."""
    torch.save(stylegan1(CHANNELS, DIM, "genforce"), tmp_path / "one.pt")
    return StyleGAN1(str(tmp_path / "one.pt"))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * b.abs().max().item())


def test_the_fast_path_equals_the_definition(two):
    latents = torch.randn(2, two.layers, DIM)
    close(two.render(latents), two.synthesize(latents))


@pytest.mark.parametrize("channels", [[32] * 5, [32, 32, 64, 32, 16], [32, 32, 32, 32, 7]])
@pytest.mark.parametrize("share", [1e9, 0], ids=["at once", "in blocks"])
def test_compiled_convolutions_in_the_generator(channels, share, tmp_path, monkeypatch):
    """Widths that the kernels take, and levels behind them that they do not; pictures share the memory."""
    compiled = pytest.importorskip("backends.kernels.winograd")
    monkeypatch.setattr(compiled, "AT_ONCE", share)
    monkeypatch.setattr(stylegan2_fast, "SIDE", 16)
    torch.save(nvidia(channels, DIM), tmp_path / "wide.pt")
    generator = StyleGAN2(str(tmp_path / "wide.pt"))
    supported = [layer.supported() for layer in generator._fast.layers]
    assert supported == [False] * 4 + [True, False, True, channels[-1] > 7, channels[-1] == 32]
    latents = torch.randn(3, generator.layers, DIM)
    close(generator.render(latents), generator.synthesize(latents), 1e-4)
    close(generator.render(latents[:1]), generator.synthesize(latents[:1]), 1e-4)
    plain = generator._network
    with torch.no_grad():
        for layer in range(generator.layers):
            cut, expected = generator.cut(latents, layer), plain.cut(latents, layer)
            close(cut.maps, expected.maps, 1e-4)
            close(generator.resume(cut, latents), plain(latents), 1e-4)
            preview = plain.resume(expected, latents, preview=True)
            close(generator.resume(cut, latents, preview=True), preview, 1e-4)


def test_without_numba_torch_does_it(two, monkeypatch):
    monkeypatch.setattr(kernels, "compiled", lambda name: None)
    monkeypatch.setattr(stylegan2_fast, "SIDE", 4)
    monkeypatch.setattr(winograd_reference, "CHANNELS", 1)
    monkeypatch.setattr(winograd_reference, "SIDE", 8)
    latents = torch.randn(1, two.layers, DIM)
    close(two.render(latents), two.synthesize(latents), 1e-4)


def test_preview_is_half_the_size_of_the_same_picture(two):
    latents = two.sample([3])
    preview, picture = two.render(latents, preview=True), two.render(latents)
    assert preview.shape == (1, 3, 16, 16)
    assert picture.shape == (1, 3, 32, 32)
    last = two._network.rgbs[-1]  # without it the picture is the smaller one, doubled
    with torch.no_grad():
        last.weight.zero_()
        last.bias.zero_()
    close(two.render(latents), stylegan2.upsample(preview))


def test_gradients_reach_latents_and_weights(two):
    latents = torch.randn(2, two.layers, DIM, requires_grad=True)
    two.synthesize(latents).square().mean().backward()
    assert (latents.grad.abs().amax((0, 2)) > 0).all()
    network = two._network.requires_grad_(True)
    network(latents.detach()).square().mean().backward()
    unused = {name for name, weight in network.named_parameters() if weight.grad is None}
    assert all(name.startswith("mapping.") for name in unused)


def test_fine_tuning_is_seen_by_the_fast_path(two):
    """What the fast path keeps of the weights must not outlive them."""
    latents = two.sample([0])
    two.render(latents)
    with torch.no_grad():
        for conv in two._network.convs:
            conv.weight.mul_(1.5).add_(0.01)
    close(two.render(latents), two.synthesize(latents))


def null(matrix: torch.Tensor) -> torch.Tensor:
    """A vector that the matrix sends to zero."""
    return torch.linalg.svd(matrix.double(), full_matrices=True).Vh[-1].float()


def test_affines_of_stylegan2_are_what_reads_each_row(two):
    """A move that neither a row's convolution nor its colours see changes nothing; other moves do."""
    affines, network, latents = two.affines(), two._network, two.sample([0])
    assert [len(matrix) for matrix in affines] == [conv.weight.shape[1] for conv in network.convs] + [4]
    picture = two.synthesize(latents)
    for row, matrix in enumerate(affines):
        colours = [network.rgbs[row // 2].style.weight] if row % 2 and row < len(affines) - 1 else []
        moved = latents.clone()
        moved[:, row] += 3 * null(torch.cat([matrix, *colours]))
        close(two.synthesize(moved), picture, 1e-4)
        moved[:, row] += matrix[0]
        assert (two.synthesize(moved) - picture).abs().max() > 1e-3 * picture.abs().max(), row


def test_affines_of_stylegan1_are_what_reads_each_row(one):
    latents = one.sample([0])
    picture = one.synthesize(latents)
    for row, matrix in enumerate(one.affines()):
        moved = latents.clone()
        moved[:, row] += 3 * null(matrix)
        close(one.synthesize(moved), picture, 1e-4)


def test_upsampling_of_stylegan1_is_repetition_convolution_and_blur():
    layer = first.Layer(DIM, 3, 5, 16, up=True).requires_grad_(False)
    torch.nn.init.normal_(layer.weight)
    x = torch.randn(2, 3, 8, 8)
    y = F.conv2d(F.interpolate(x, scale_factor=2), layer.weight, padding=1)
    blur = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    close(layer.upsampled(x), F.conv2d(y, blur.expand(5, 1, 3, 3), padding=1, groups=5))


def test_upsampling_of_stylegan2_is_zero_insertion_and_the_filter():
    x = torch.randn(1, 3, 6, 6)
    wide = torch.zeros(1, 3, 12, 12)
    wide[:, :, ::2, ::2] = x
    taps = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 16
    close(stylegan2.upsample(x), F.conv2d(F.pad(wide, (2, 1, 2, 1)), taps.expand(3, 1, 4, 4), groups=3))


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_seed_names_one_latent_and_zero_truncation_the_mean(name, request):
    generator = request.getfixturevalue(name)
    assert torch.equal(generator.sample([5]), generator.sample([4, 5])[1:])
    close(generator.sample([1, 2], truncation=0.0), generator.mean().expand(2, -1, -1))
    assert generator.mean().shape == (1, generator.layers, DIM)
    assert generator.z_dim == DIM
    assert (generator.size, generator.layers) == (32, 8)


def test_weights_load_on_first_use_only(tmp_path):
    generator = StyleGAN2(str(tmp_path / "missing.pt"))
    with pytest.raises(CheckpointError, match=r"missing\.pt cannot be read: No such file"):
        generator.sample([0])
    with pytest.raises(WeightsError, match="no weights are called 'nothing'"):
        StyleGAN1("nothing").sample([0])


def test_the_file_may_change_after_loading(two):
    """The network owns its memory: a shortened map of a file would kill the process."""
    latents = two.sample([0])
    picture = two.render(latents)
    Path(two.weights).write_bytes(b"")
    close(two.render(latents), picture)
