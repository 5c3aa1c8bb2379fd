"""Eigenpictures: what a generator draws from the start, and takes into its features."""

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from backends import Cut
from backends.networks import compact_stylegan
from backends.networks.compact_stylegan import LAID, CompactStyleGAN, from_state
from backends.networks.linear_encoder import LinearEncoder, small
from training import _eigenpictures as eigenpictures
from training import _transfer as transfer
from training._augment import Augmentation
from training._discriminator import Pixels
from training._loop import Processes
from training._networks import Networks, Rates, export
from training._pca_encoder import fit
from training.gan import TERMS, step

CHANNELS = (32, 32, 32)  # 32-pixel pictures


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    """60 pictures that differ in four ways: soft, and half of them to the left."""
    source = torch.Generator().manual_seed(0)
    coarse = torch.nn.functional.interpolate(torch.randn(4, 3, 4, 4, generator=source), size=32)
    return torch.einsum("nk,kcyx->ncyx", 0.3 * torch.randn(60, 4, generator=source), coarse)


@pytest.fixture(scope="module")
def encoder(photographs: torch.Tensor) -> LinearEncoder:
    network = LinearEncoder(512)
    fit(network, [photographs], nats=20)
    return network


@pytest.fixture
def network(encoder: LinearEncoder, photographs: torch.Tensor) -> CompactStyleGAN:
    torch.manual_seed(0)
    network = transfer.scratch(CHANNELS, eigenpictures=8)
    eigenpictures.fit(network, encoder, photographs[:32])
    return network


def test_the_decoder_undoes_the_encoder(encoder: LinearEncoder, photographs: torch.Tensor) -> None:
    mean, _ = encoder(photographs)
    pictures, sizes = eigenpictures.decoder(encoder)
    again = (mean[:, : len(sizes)] * sizes) @ pictures + encoder.middle
    assert torch.allclose(pictures @ pictures.T, torch.eye(len(sizes)), atol=1e-4)
    assert (again - small(photographs)).square().mean() < 0.02 * photographs.var()


def test_it_draws_what_the_encoder_read_before_training(
    network: CompactStyleGAN, encoder: LinearEncoder, photographs: torch.Tensor
) -> None:
    z = encoder.draw(photographs, torch.Generator().manual_seed(0))
    assert (network(z) - photographs).square().mean() < 0.2 * photographs.var()
    assert (network(z.roll(1, 0)) - photographs).square().mean() > photographs.var()


def test_the_convolutions_see_it(network: CompactStyleGAN) -> None:
    latents = torch.randn(2, network.layers, 512)
    before = network.cut(latents, 3 * LAID).maps
    assert network.eigenpictures is not None
    network.eigenpictures.middle.data[:100] += 1
    assert not torch.allclose(before, network.cut(latents, 3 * LAID).maps)


def test_the_first_row_sets_it(network: CompactStyleGAN) -> None:
    assert [len(affine) for affine in network.affines] == [32 + 8, 32, 8, 32, 32, 8, 32, 32]
    latents = torch.randn(1, network.layers, 512)
    other = latents.clone()
    other[:, 1:] = torch.randn(1, network.layers - 1, 512)
    assert network.eigenpictures is not None
    difference = network.synthesize(latents) - network.synthesize(other)
    last = network.layers - 1
    details = [network.resume(Cut(last, network.cut(each, last).maps), each) for each in (latents, other)]
    assert torch.allclose(difference, details[0] - details[1], atol=1e-4)


def test_it_is_kept_in_files_and_when_a_network_grows(network: CompactStyleGAN, tmp_path: Path) -> None:
    export(network, tmp_path / "weights.safetensors")
    z = torch.randn(4, 512)
    again = compact_stylegan.from_state(load_file(tmp_path / "weights.safetensors"))
    assert torch.allclose(network(z), again(z), atol=0.05)
    large = transfer.grown(network, 16)
    assert large.eigenpictures is not None
    assert torch.equal(large.eigenpictures.pictures, network.eigenpictures.pictures)  # type: ignore[union-attr]
    wanted = torch.nn.functional.interpolate(network(z), scale_factor=2, mode="bicubic")
    assert (large(z) - wanted).square().mean() < 0.1 * wanted.var()


def test_it_learns_in_half_precision(
    network: CompactStyleGAN, encoder: LinearEncoder, photographs: torch.Tensor
) -> None:
    """As on processors with AMX and on graphics cards; slow on others, but the same arithmetic."""
    coarse = transfer.coarse_names(network, 0)
    gan = Networks(network, Pixels(32), encoder, coarse, Rates(), dict.fromkeys(TERMS, 1.0))
    before = network.eigenpictures.modulation.weight.clone()  # type: ignore[union-attr]
    terms = step(gan, photographs[:4], torch.Generator().manual_seed(0), Augmentation(), Processes(half=True))
    assert all(math.isfinite(value) for value in terms.values())
    assert not torch.equal(before, network.eigenpictures.modulation.weight)  # type: ignore[union-attr]
    assert network.eigenpictures.modulation.weight.dtype == torch.float32  # type: ignore[union-attr]


def test_pictures_too_small_for_one_are_refused() -> None:
    with pytest.raises(ValueError, match="32 pixels or more"):
        CompactStyleGAN((8, 8), 16, eigenpictures=4)


def test_files_of_earlier_versions_load():
    network = transfer.scratch(CHANNELS, eigenpictures=8)
    old = {name.replace("eigenpictures.", "layout."): value for name, value in network.state_dict().items()}
    assert any(name.startswith("layout.") for name in old)
    z = torch.randn(2, network.mean.shape[0], generator=torch.Generator().manual_seed(0))
    again = transfer.scratch(CHANNELS, eigenpictures=8)
    again.load_state_dict(old)
    for loaded in (again, from_state(old)):
        torch.testing.assert_close(loaded(z), network(z))
