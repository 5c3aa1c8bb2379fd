"""Figures of merit of a generator: grid, precision, recall, density, coverage, spread of poses."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from backends.networks.alias_free import FLAT, SOFT, blurred, smooth_haar
from backends.networks.compact_stylegan import CompactStyleGAN
from backends.networks.mobilestylegan import inverse_haar
from evaluation import metrics
from training import _transfer as transfer


def soft(count: int, seed: int) -> Tensor:
    """Pictures of 64 pixels whose spectrum falls as that of photographs."""
    frequencies = torch.fft.fftfreq(64)
    radius = (frequencies[:, None].square() + frequencies.square()).sqrt().clamp(min=1 / 64)
    white = torch.randn(count, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    return torch.fft.ifft2(torch.fft.fft2(white) / radius).real / 40


@pytest.mark.parametrize("period", metrics.PERIODS)
def test_a_faint_grid_is_found_at_its_period(period: int) -> None:
    photographs = metrics.power(soft(400, 0))
    clean = metrics.comb(metrics.power(soft(400, 1)), photographs)
    assert all(0.7 < energy < 1.4 for energy in clean.values())
    stripes = 0.03 * torch.cos(2 * torch.pi * torch.arange(64) / period)
    found = metrics.comb(metrics.power(soft(400, 1) + stripes), photographs)
    assert max(found, key=lambda key: found[key]) == period
    assert max(metrics.comb(metrics.power(soft(400, 1) + stripes), photographs).values()) > 1.5
    others = {key: energy for key, energy in found.items() if key != period}
    assert others == pytest.approx({key: clean[key] for key in others}, rel=0.05)


@pytest.mark.parametrize("dense", [0, 1])
def test_upsampling_draws_no_grid(dense: int) -> None:
    """Detail bands have a mean of their own in every layer: without the filter the picture has lines."""
    photographs = metrics.power(soft(64, 0))
    found = {}
    for smooth in (False, True):
        torch.manual_seed(0)
        network = transfer.scratch((32, 32, 32, 32), dense=dense, smooth=smooth)
        network.head.bias.data[3:] = 0.5
        for block in network.blocks:
            for convolution in (block.conv1, block.conv2):  # type: ignore[union-attr]
                torch.nn.init.normal_(convolution.bias)  # type: ignore[union-attr, arg-type]
        with torch.no_grad():
            pictures = network(torch.randn(64, 512, generator=torch.Generator().manual_seed(0)))
        found[smooth] = max(metrics.comb(metrics.power(pictures / pictures.std()), photographs).values())
    assert found[True] < 1
    assert found[False] > 20 * found[True]


def test_the_smooth_transform_is_the_inverse_haar_transform_filtered() -> None:
    bands = torch.randn(2, 12, 8, 8)
    filtered = F.conv_transpose2d(bands, smooth_haar(12, FLAT), stride=2, padding=2)
    taps = torch.outer(torch.tensor(FLAT), torch.tensor(FLAT)).expand(3, 1, 5, 5)
    at_once = F.conv_transpose2d(bands, smooth_haar(12, SOFT), stride=2, padding=1)
    assert torch.allclose(at_once, blurred(inverse_haar(bands)), atol=1e-5)
    assert torch.allclose(filtered, F.conv2d(inverse_haar(bands), taps, padding=2, groups=3), atol=1e-5)
    assert sum(FLAT) == 1
    assert sum(tap * (-1) ** i for i, tap in enumerate(FLAT)) == 0  # no gain at the Nyquist frequency


def test_a_constant_stays_constant_up_to_the_border() -> None:
    network = CompactStyleGAN((8, 8), 16, smooth=True)
    bands = torch.zeros(1, 12, 8, 8)
    bands[:, :3] = 1.0
    assert torch.allclose(network.composed(bands), torch.full((1, 3, 16, 16), 0.5), atol=1e-6)


def test_precision_and_recall_tell_quality_from_variety() -> None:
    source = torch.Generator().manual_seed(0)
    photographs, like, far = (torch.randn(500, 8, generator=source) for _ in range(3))
    precision, recall = metrics.precision_recall(like, photographs)
    assert precision > 0.8
    assert recall > 0.8
    narrow = 0.2 * like
    precision, recall = metrics.precision_recall(narrow, photographs)
    assert precision == 1
    assert recall < 0.4
    assert metrics.precision_recall(far + 50, photographs) == (0, 0)


def test_density_and_coverage() -> None:
    source = torch.Generator().manual_seed(0)
    photographs, like = (torch.randn(500, 8, generator=source) for _ in range(2))
    density, coverage = metrics.density_coverage(like, photographs)
    assert density == pytest.approx(1, abs=0.15)
    assert coverage > 0.9
    one = photographs[:1].repeat(500, 1)
    density, coverage = metrics.density_coverage(one, photographs)
    assert 0 < coverage < 0.1
    assert metrics.density_coverage(photographs + 50, photographs) == (0, 0)


def test_pose_spread_is_measured_along_the_widest_asymmetry() -> None:
    source = torch.Generator().manual_seed(0)
    turns = torch.randn(300, 20, generator=source) * torch.tensor([5.0] + [1.0] * 19)
    assert metrics.pose_spread(turns, turns) == pytest.approx(1)
    frontal = turns * torch.tensor([0.5] + [1.0] * 19)
    assert metrics.pose_spread(frontal, turns) == pytest.approx(0.5, abs=0.02)


@pytest.mark.weights
def test_mirrored_pictures_are_turned_the_other_way() -> None:
    pictures = soft(8, 0).clamp(-1, 1)
    measured = metrics.measure([pictures, pictures.flip(3)])
    assert measured.features.shape == (16, 352)
    turns = measured.turns - measured.turns.mean(0)
    assert F.cosine_similarity(turns[:8], turns[8:]).mean() < -0.5
    figures = metrics.figures(measured, measured)
    assert figures["coverage"] == figures["precision"] == figures["recall"] == 1
    assert figures["grid"] == pytest.approx(1)
    assert figures["pose_spread"] == pytest.approx(1)
