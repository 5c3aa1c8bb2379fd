"""GANSpace on maps inside a generator: the incremental analysis, and the way back to latents."""

import pytest
import torch

from backends.generators.toy import Toy
from config import ConfigError
from directions.ganspace import GANSpace, IncrementalPCA, map_components, regression

TOY = Toy(size=8)


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))


@pytest.fixture
def rows() -> torch.Tensor:
    source = torch.Generator().manual_seed(0)
    spread = torch.linspace(3, 0.1, 60)
    return torch.randn(500, 20, generator=source) @ torch.randn(20, 60, generator=source) * spread + 5


@pytest.mark.parametrize("size", [500, 150, 64])
def test_batches_give_the_components_of_the_whole(rows, size):
    analysis = IncrementalPCA(20)
    for part in rows.split(size):
        analysis.add(part)
    _, singular, vectors = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)
    torch.testing.assert_close(analysis.mean, rows.mean(0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(analysis.variances[:10], singular[:10] ** 2 / 499, rtol=1e-3, atol=0)
    assert (analysis.components[:10] * vectors[:10]).sum(1).abs().min() > 0.9999
    assert float(analysis.shares.sum()) == pytest.approx(1, abs=1e-3)


def test_regression_finds_the_latents_behind_coordinates():
    source = torch.Generator().manual_seed(1)
    coordinates, truth = torch.randn(400, 5, generator=source), torch.randn(5, 16, generator=source)
    latents = coordinates @ truth + 0.01 * torch.randn(400, 16, generator=source) + 3
    found = regression(coordinates + 7, latents)
    torch.testing.assert_close(found, torch.nn.functional.normalize(truth, dim=1), atol=0.01, rtol=0)


def test_components_of_maps_that_are_linear_in_the_latents_are_those_of_the_latents():
    """Where the map is the latent itself, the way back is the identity."""

    class Straight(Toy):
        def activations(self, latents, layer):
            return latents[:, layer].view(len(latents), 16, 1, 1)

    found = map_components.__wrapped__(Straight(), 2, [2], 4000, 16)["vectors"]
    assert (found @ found.T - torch.eye(16)).abs().max() < 0.1


def test_directions_of_maps():
    source = GANSpace(maps=3, samples=300, ranges={2: "0-1"})
    first, second, *_ = source.directions(TOY)
    assert first.name == "GANSpace 1"
    assert "of maps" in first.note
    assert second.step(TOY.mean())[0].norm(dim=1).nonzero().flatten().tolist() == [0, 1]
    latents = TOY.sample(list(range(8)))
    assert not torch.allclose(TOY.activations(latents + first.step(latents), 3), TOY.activations(latents, 3))


def test_a_layer_that_does_not_exist():
    with pytest.raises(ConfigError, match="layers here are 0-5"):
        GANSpace(maps=6).directions(TOY)
