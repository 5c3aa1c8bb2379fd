"""Every direction source on the toy generator, and SeFa against an independent factorization."""

import math
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from examples import settings

from backends.generators.toy import Toy
from config import ConfigError, checked
from directions import Direction, DirectionSource, parse_layers
from directions._cache import remembered
from directions._statistics import spread, statistics
from directions.ganspace import GANSpace
from directions.jacobian import Jacobian
from directions.sefa import SeFa
from plugins import find, names


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """No test writes to the cache of this machine."""
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


def vector(direction: Direction, generator: Toy) -> torch.Tensor:
    """What one unit adds to the mean, (layers, dim)."""
    return direction.step(generator.mean())[0]


@pytest.fixture(params=names(DirectionSource))
def source(request, toy, tmp_path) -> DirectionSource:
    return checked(find(DirectionSource, request.param), settings("directions", request.param, tmp_path, toy))


def test_names_are_unique_and_do_not_depend_on_the_count(source, toy):
    few, many = (type(source)(**{**vars(source), "count": n}).directions(toy) for n in (2, 5))
    assert len(few) == 2
    assert len({direction.name for direction in many}) == len(many)
    assert [direction.name for direction in many[:2]] == [direction.name for direction in few]
    latents = toy.sample([1, 2])
    for a, b in zip(few, many, strict=False):  # links hold names only: a name is one direction
        torch.testing.assert_close(a.step(latents), b.step(latents), rtol=1e-4, atol=1e-5)


def test_ranges_hold_zero_and_are_finite(source, toy):
    for direction in source.directions(toy):
        assert math.isfinite(direction.low)
        assert math.isfinite(direction.high)
        assert direction.low < 0 < direction.high


def test_one_unit_is_one_standard_deviation_of_the_latents(source, toy):
    """Measured on other samples than the statistics were taken from."""
    if source.unit != "latents":
        pytest.skip(f"its unit is a {source.unit}, which its own tests check")
    latents = toy.sample(list(range(5000, 7000)), truncation=1.0)[:, 0]
    for direction in source.directions(toy):
        move = vector(direction, toy)[0]
        assert float((latents @ move).std() / move.norm()) == pytest.approx(float(move.norm()), rel=0.07)


def test_only_the_chosen_layers_move(source, toy):
    source = type(source)(**{**vars(source), "layers": "1,3-4"})
    moved = torch.stack([vector(direction, toy).any(1) for direction in source.directions(toy)])
    assert moved.any(0).tolist() == [False, True, False, True, True, False]
    if source.unit == "latents":  # others may move one layer each
        assert moved[:, [1, 3, 4]].all()


def test_find_gives_what_directions_lists(source, toy):
    for direction in source.directions(toy):
        found = source.find(toy, direction.name)
        assert (found.name, found.low, found.high) == (direction.name, direction.low, direction.high)
        assert torch.equal(vector(found, toy), vector(direction, toy))


def test_an_unknown_name_lists_the_known_ones(source, toy):
    with pytest.raises(ConfigError, match=source.directions(toy)[0].name):
        source.find(toy, "nonsense")


def test_every_direction_changes_the_picture_and_both_ends_are_finite(source, toy):
    latents = toy.sample([1])
    picture = toy.synthesize(latents)
    for direction in source.directions(toy):
        for strength in (direction.low, direction.high):
            moved = toy.synthesize(latents + strength * direction.step(latents))
            assert moved.isfinite().all()
            assert not torch.allclose(moved, picture, atol=1e-3)


# SeFa


@pytest.mark.parametrize("layers", ["all", "0", "1-2,4"])
@pytest.mark.parametrize("normalize", [True, False])
def test_sefa_spans_the_singular_vectors_of_the_stacked_affines(toy, layers, normalize):
    sefa = SeFa(layers=layers, normalize=normalize, gain=1.0, count=toy.dim)
    eigenvalues, vectors = sefa.factors(toy)
    stack = np.concatenate([toy.affines()[i].numpy() for i in parse_layers(layers, toy.layers, toy.size)])
    if normalize:
        stack = stack / np.linalg.norm(stack, axis=1, keepdims=True)
    singular, rows = np.linalg.svd(stack.astype(np.float64), full_matrices=False)[1:]
    k = len(singular)
    np.testing.assert_allclose(eigenvalues[:k], singular**2, rtol=1e-4)
    cosines = np.abs((vectors[:k].numpy() * rows).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-5)


def test_sefa_is_orthonormal_descending_and_signed(toy):
    eigenvalues, vectors = SeFa().factors(toy)
    torch.testing.assert_close(vectors @ vectors.T, torch.eye(len(vectors)), atol=1e-5, rtol=0)
    assert (eigenvalues.diff() <= 0).all()
    assert (vectors.gather(1, vectors.abs().argmax(1, keepdim=True)) > 0).all()


class Gained(Toy):
    """A toy whose styles all grow along the mean latent, as those of trained generators do."""

    def affines(self) -> list[torch.Tensor]:
        axis = torch.ones(self.dim) / self.dim**0.5
        return [matrix + 3 * matrix.sum(1, keepdim=True).sign() * axis for matrix in super().affines()]


def test_sefa_leaves_out_the_direction_that_scales_all_styles():
    generator = Gained()
    axis = generator.mean()[0, 0] / generator.mean()[0, 0].norm()
    all_vectors = SeFa(gain=1.0).factors(generator)[1]
    vectors = SeFa().factors(generator)[1]
    assert abs(all_vectors[0] @ axis) > 0.95
    assert len(vectors) == len(all_vectors) - 1
    assert torch.equal(vectors, all_vectors[1:])
    assert SeFa().directions(generator)[0].name == "SeFa 1"
    assert (vectors[:5] @ axis).abs().max() < 0.3


def test_sefa_finds_numbers_beyond_the_count(toy):
    assert SeFa(count=2).find(toy, "SeFa 7").name == "SeFa 7"
    for name in ("SeFa 0", "SeFa 99", "SeFa", "SeFa -1"):
        with pytest.raises(ConfigError, match="SeFa 1"):
            SeFa().find(toy, name)


# GANSpace


def test_ganspace_is_the_pca_of_the_latents(toy):
    covariance = statistics(toy, 3000).covariance[0].double().numpy()
    singular = np.linalg.svd(covariance)
    components = GANSpace(samples=3000).components(toy)
    cosines = np.abs((components.vectors.numpy() * singular[2]).sum(1))
    np.testing.assert_allclose(cosines, 1, atol=1e-4)
    assert components.notes[0].startswith(f"{100 * singular[1][0] / singular[1].sum():.2g} %")


def test_ganspace_finds_the_axis_along_which_latents_vary():
    class Long(Toy):
        def mapping(self, z: torch.Tensor) -> torch.Tensor:
            return super().mapping(z * torch.tensor([0.1, 0.1, 0.5, *[0.1] * (self.dim - 3)]))

    first = GANSpace().find(Long(), "GANSpace 1")
    assert int(vector(first, Long())[0].abs().argmax()) == 2


def test_each_component_can_have_its_own_layers(toy):
    ranged = GANSpace(ranges={2: "1-2"})
    first, second = ranged.directions(toy)[:2]
    assert vector(first, toy).norm(dim=1).count_nonzero() == toy.layers
    assert vector(second, toy).norm(dim=1).nonzero().flatten().tolist() == [1, 2]
    asked = GANSpace(ranges={2: "1-2"}, layers="5").find(toy, "GANSpace 2")
    assert vector(asked, toy).norm(dim=1).nonzero().flatten().tolist() == [5]


def test_component_ranges_are_settings():
    source = checked(GANSpace, {"ranges": {3: "0-2"}})
    assert source.ranges == {3: "0-2"}


# Jacobian


class Corner(Toy):
    """Entry 0 lights the upper left quarter, entry 1, much stronger, all the rest; no other entry acts."""

    def synthesize(self, latents: torch.Tensor) -> torch.Tensor:
        images = latents[:, 0, 1].view(-1, 1, 1, 1).expand(-1, 3, self.size, self.size).clone()
        half = self.size // 2
        images[:, :, :half, :half] = 0.1 * latents[:, 0, 0].view(-1, 1, 1, 1)
        return images


def test_the_first_jacobian_direction_changes_the_picture_most():
    generator = Corner()
    first = vector(Jacobian().find(generator, "Jacobian 1"), generator)[0]
    assert int(first.abs().argmax()) == 1
    assert float(first[1] / first.norm()) == pytest.approx(1, abs=1e-3)


def test_a_region_rules_out_what_changes_the_rest():
    generator = Corner()
    source = Jacobian(region=[0, 0, 0.5, 0.5], rank=1)
    first = source.find(generator, "Jacobian 1")
    move = vector(first, generator)[0]
    assert float(move[0] / move.norm()) == pytest.approx(1, abs=1e-3)
    assert "100 % of the change in the region" in first.note


def test_jacobian_matches_automatic_differentiation(toy, monkeypatch):
    def small(w: torch.Tensor) -> torch.Tensor:
        images = toy.synthesize(w.expand(1, toy.layers, -1))
        return torch.nn.functional.interpolate(images, size=(16, 16), mode="area").flatten()

    exact = torch.func.jacrev(small)(toy.mean()[:, :1])[:, 0, 0].double()
    monkeypatch.setattr("directions._derivatives.STEP", 0.01)
    directions = Jacobian(pixels=16, basis=toy.dim).components(Toy()).vectors.double()
    expected = torch.linalg.svd(exact).Vh
    assert ((directions * expected).sum(1).abs()[:4] > 0.99).all()


def test_measured_directions_survive_a_restart(monkeypatch):
    first = Jacobian(seeds=[1, 2]).components(Toy(seed=5)).vectors
    monkeypatch.setattr(Toy, "render", None)  # a second measurement would fail
    assert torch.equal(Jacobian(seeds=[1, 2]).components(Toy(seed=5)).vectors, first)


def test_a_cache_that_cannot_be_written_only_costs_time(monkeypatch, tmp_path, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path / "file"))
    assert len(Jacobian(count=3).directions(Toy(seed=6))) == 3
    assert "not kept" in caplog.text


@pytest.mark.parametrize("region", [[0.1, 0.2, 0.3], [0.5, 0, 0.5, 1], [0, 0, 2, 1], [-0.1, 0, 1, 1]])
def test_malformed_regions_are_refused(region):
    with pytest.raises(ConfigError, match="region"):
        checked(Jacobian, {"region": region})


# layers


@pytest.mark.parametrize(
    ("text", "expected"),
    [("all", range(6)), ("", range(6)), (" 4, 0-2 ,1", [0, 1, 2, 4]), ("5", [5]), ("0-5", range(6))],
)
def test_layers_are_read(text, expected):
    assert parse_layers(text, 6, 64) == list(expected)


@pytest.mark.parametrize("text", ["6", "-1", "a", "2-1", "0,,1", "1-9", "0x1", "²"])
def test_malformed_layers_are_refused(text):
    with pytest.raises(ConfigError, match="layers"):
        parse_layers(text, 6, 64)


@pytest.mark.parametrize(
    ("layers", "size", "middle", "fine"),
    [(18, 1024, 4, 8), (14, 256, 4, 8), (23, 1024, 5, 10), (6, 64, 2, 5)],
)
def test_groups_split_the_layers_by_resolution(layers, size, middle, fine):
    assert parse_layers("coarse", layers, size) == list(range(middle))
    assert parse_layers("Middle", layers, size) == list(range(middle, fine))
    assert parse_layers("fine", layers, size) == list(range(fine, layers))
    assert parse_layers("coarse, fine", layers, size) == [*range(middle), *range(fine, layers)]


def test_a_generator_without_such_layers_says_so():
    with pytest.raises(ConfigError, match="coarse"):
        parse_layers("coarse", 1, 256)


# statistics


def test_spread_is_the_standard_deviation_along_a_move(toy):
    move = torch.zeros(toy.layers, toy.dim)
    move[2:4, 5] = 7.0  # its length does not matter
    expected = statistics(toy).covariance[0, 5, 5].sqrt()
    assert spread(toy, move) == pytest.approx(float(expected), rel=1e-5)


class Uneven(Toy):
    """Layers that read different vectors, as IDInvert's mapping gives them."""

    def mapping(self, z: torch.Tensor) -> torch.Tensor:
        return z[:, None] * torch.arange(1.0, self.layers + 1)[:, None]


def test_statistics_know_layers_that_differ():
    generator = Uneven()
    assert len(statistics(generator).mean) == generator.layers
    move = torch.zeros(generator.layers, generator.dim)
    move[3, 0] = 1
    assert spread(generator, move) == pytest.approx(4, rel=0.05)


def test_results_are_kept_for_one_generator_and_forgotten_with_it():
    calls = []

    @remembered
    def work(generator: Toy, key: int) -> int:
        calls.append(key)
        return len(calls)

    first, second = Toy(), Toy()
    assert [work(first, 1), work(first, 1), work(first, 2), work(second, 1)] == [1, 1, 2, 3]
    kept = weakref.ref(first)
    del first
    assert kept() is None


def test_what_is_measured_of_a_tuned_copy_follows_its_weights(toy):
    tuned, source = toy.tunable(), SeFa(gain=1.0)
    before = source.factors(tuned)[0]
    assert torch.equal(before, source.factors(toy)[0])
    with torch.no_grad():
        tuned.parameters()["affines"][:, :, 0] *= 3  # in place, as optimisers do
    assert not torch.allclose(source.factors(tuned)[0], before)
    assert torch.equal(source.factors(toy)[0], before)


def test_no_file_of_the_folder_names_a_machine():
    for path in Path("directions").glob("*.py"):
        assert "/work" not in path.read_text()
