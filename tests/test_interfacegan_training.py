"""Boundaries: the support vector machine, and attributes whose direction is known."""

import pytest
import torch
from sklearn.svm import LinearSVC

from backends.generators.toy import Toy
from config import ConfigError
from directions._stored import Stored, read, write
from directions.interfacegan import InterFaceGAN as Source
from evaluation import scorers
from training import _disentangle, interfacegan, run
from training._samples import Samples, _pictures
from training.attributes import fit, judge
from training.interfacegan import InterFaceGAN, Wanted, support_vector_machine


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def clouds(count=300, dim=12, overlap=1.0):
    source = torch.Generator().manual_seed(0)
    labels = torch.where(torch.rand(count, generator=source) < 0.5, -1.0, 1.0)
    points = torch.randn(count, dim, generator=source)
    points[:, 0] += labels / overlap
    return points, labels


@pytest.mark.parametrize("overlap", [0.2, 1.0])
def test_svm_meets_the_conditions_of_optimality(overlap):
    """No small change of normal or bias lowers the objective (it is convex)."""
    points, labels = clouds(overlap=overlap)
    normal, bias = support_vector_machine(points, labels)

    def objective(normal, bias):
        return normal.square().sum() / 2 + (1 - labels * (points @ normal + bias)).clamp(min=0).sum()

    best = objective(normal, bias)
    source = torch.Generator().manual_seed(1)
    for size in (1e-2, 1e-1):
        for _ in range(50):
            change = size * torch.randn(13, generator=source)
            assert objective(normal + change[:12], bias + change[12]) > best - 2e-3 * best


def test_svm_does_not_depend_on_where_the_points_lie():
    points, labels = clouds()
    normals = [support_vector_machine(points + shift, labels)[0] for shift in (0, 5)]
    assert cosine(*normals) > 0.9999


def test_svm_is_solved_where_many_samples_overlap():
    """The same boundary as another solver's (liblinear's coordinate descent)."""
    points, labels = clouds(400, 64, overlap=2.0)
    normal, _ = support_vector_machine(points, labels)
    other = LinearSVC(loss="hinge", intercept_scaling=10, tol=1e-6, max_iter=1_000_000, random_state=0)
    other.fit(points.numpy(), labels.numpy())
    assert cosine(normal, torch.tensor(other.coef_[0]).float()) > 0.999


def test_a_boundary_that_is_not_solved_is_none(monkeypatch, caplog):
    monkeypatch.setattr(interfacegan, "ITERATIONS", 5)
    points, _ = clouds()
    samples = Samples(points[:, None], (points[:, 0] + 0.1 * points[:, 1])[:, None], ["one"])
    assert not interfacegan.boundaries(samples, "svm", ratio=0.5)
    assert "one: Solver terminated early" in caplog.text


@pytest.mark.parametrize("method", ["svm", "regression"])
def test_known_direction_is_found(method):
    source = torch.Generator().manual_seed(0)
    latents = torch.randn(2000, 1, 16, generator=source)
    truth = torch.nn.functional.normalize(torch.randn(16, generator=source), dim=0)
    scores = latents[:, 0] @ truth + 0.3 * torch.randn(2000, generator=source)
    samples = Samples(
        latents, torch.stack([scores, torch.full((2000,), float("nan"))], 1), ["one", "unknown"]
    )
    found = interfacegan.boundaries(samples, method, ratio=0.2)
    assert list(found) == ["one"]  # nothing is fitted to what nobody knows
    assert cosine(found["one"].normal, truth) > 0.97
    assert found["one"].validation > 0.97
    assert found["one"].everything > 0.6  # the middle of the range is not the middle of the samples


def mixed_scores():
    """Two scores of unequally spread latents; the first also grows with what the second measures."""
    source = torch.Generator().manual_seed(0)
    latents = torch.randn(4000, 1, 16, generator=source) * torch.linspace(0.5, 2, 16)
    both = latents[:, 0, 0] / 0.5 + latents[:, 0, 15] / 2
    return Samples(latents, torch.stack([both, latents[:, 0, 15] / 2], dim=1), ["both", "second"])


def test_projection_keeps_another_score():
    samples = mixed_scores()
    found = interfacegan.boundaries(samples, "regression", ratio=0.2)
    wanted = {"alone": Wanted("both", keep=["second"]), "less": Wanted("second", -1)}
    stored = interfacegan.chosen(found, wanted)
    assert cosine(stored["alone"].vector, torch.eye(16)[0].double()) > 0.98
    assert abs(float(stored["alone"].vector[0, 15])) < 0.05
    assert float(stored["less"].vector[0, 15]) < -0.9


def predicted(model, direction):
    """Effect of one standard deviation of the latents along the direction on every score."""
    coordinates = torch.linalg.solve(model.unwhiten, direction.to(model.unwhiten))
    effects = model.effects @ (coordinates / coordinates.norm())
    return dict(zip(model.names, effects.tolist(), strict=True))


def test_purest_directions_change_one_score():
    samples = mixed_scores()
    model = _disentangle.fit(samples)
    pure = predicted(model, model.direction("both", still=["both", "second"], tolerance=0.01))
    strong = predicted(model, model.direction("both", tolerance=0.01))
    assert abs(pure["second"]) < 0.05 < 0.5 < pure["both"] < strong["both"]
    assert strong["second"] > 0.6
    down = model.direction("second", sign=-1, still=["both"], tolerance=0.01)
    assert predicted(model, down)["second"] < -0.5
    exact = model.direction("both", still=["second"], tolerance=0.3).double()
    source = torch.Generator().manual_seed(1)

    def quotient(direction):
        effects = predicted(model, direction / direction.norm())
        return effects["both"] ** 2 / (0.3 + effects["second"] ** 2)

    for _ in range(30):
        nearby = exact + 0.1 * torch.randn(16, generator=source).double()
        assert quotient(nearby) <= quotient(exact) + 1e-9


def test_purest_scores_may_be_unknown_for_some_samples():
    samples = mixed_scores()
    scores = samples.scores.clone()
    scores[::2, 1] = float("nan")
    model = _disentangle.fit(Samples(samples.latents, scores, samples.names))
    assert predicted(model, torch.eye(16)[15])["second"] > 0.95


def test_purest_recipes_say_what_may_change_too(tmp_path):
    text = "still: [brightness, warmth]\ndirections:\n"
    text += "  warm: {score: warmth}\n  free: {score: warmth, free: [brightness], limit: 2}\n"
    file = recipe(tmp_path, text)
    stored = read(str(run(file, ["method=purest"])))
    assert list(stored) == ["warm", "free"]
    assert cosine(stored["warm"].vector, stored["free"].vector) < 0.999
    assert stored["free"].limit == 2
    with pytest.raises(ConfigError, match="space: w or z"):
        run(file, ["method=purest", "space=w+"])


def test_unknown_scores_are_named():
    samples = Samples(torch.randn(100, 1, 4), torch.randn(100, 1), ["one"])
    found = interfacegan.boundaries(samples, "regression")
    with pytest.raises(ConfigError, match="no score is called 'two'; there are: one"):
        interfacegan.chosen(found, {"x": Wanted("two")})


def test_misspelt_directions_are_refused_before_any_sampling(tmp_path):
    file = recipe(tmp_path, "directions: {warm: {score: warmth, kepe: [brightness]}}\n")
    with pytest.raises(ConfigError, match="kepe"):
        run(file)
    assert not (tmp_path / "samples").exists()


def recipe(tmp_path, text=""):
    file = tmp_path / "toy.yaml"
    file.write_text(
        f"trainer: interfacegan\ngenerator: {{name: toy, size: 16}}\nscorers: [{{name: colour}}]\n"
        f"folder: {tmp_path}/samples\nout: {tmp_path}/out/toy.safetensors\nsamples: 200\n"
        f"method: regression\nratio: 0.2\n{text}"
    )
    return file


@pytest.mark.parametrize("space", ["w", "w+", "z"])
def test_training_writes_what_the_plugin_reads(tmp_path, space):
    out = run(recipe(tmp_path), [f"space={space}", f"folder={tmp_path}/{space}"])
    stored = read(str(out))
    assert "brightness" in stored
    assert len(stored["brightness"].vector) == (6 if space == "w+" else 1)
    assert stored["brightness"].space == ("z" if space == "z" else "w")
    assert 0 <= stored["brightness"].accuracy <= 1


class Rolled(Toy):
    """The first entry of z sets the second of w."""

    def mapping(self, z):
        return super().mapping(z).roll(1, dims=2)


def test_a_normal_of_z_moves_what_it_moves_through_the_mapping(tmp_path):
    """And not the entry of W that happens to have its number."""
    file = tmp_path / "z.safetensors"
    entries = torch.eye(16, dtype=torch.float64)
    write(file, {"first": Stored(entries[:1], space="z"), "other": Stored(entries[1:2], space="z")})
    rolled = Rolled(size=16)
    plugin = Source(file=str(file))
    for name, entry in (("first", 1), ("other", 2), ("first | keep other", 1)):
        step = plugin.find(rolled, name).step(rolled.mean())
        assert step.shape == (1, 6, 16)
        assert float(step[0, :, entry].min() / step[0, 0].norm()) > 0.99
    with pytest.raises(ConfigError, match=r"of a Z with 16 numbers, Z has 12 here"):
        plugin.find(Rolled(size=16, dim=12), "first")


def test_boundaries_in_z_and_in_w_move_the_same_attribute(tmp_path):
    toy = Toy(size=16)
    steps = []
    for space in ("w", "z"):
        settings = [f"space={space}", "samples=1000", f"out={tmp_path}/{space}.safetensors"]
        file = run(recipe(tmp_path), settings)
        steps.append(Source(file=str(file)).find(toy, "brightness").step(toy.mean())[0, 0])
    assert cosine(*steps) > 0.9


def test_a_space_that_is_none_is_refused(tmp_path):
    file = tmp_path / "s.safetensors"
    write(file, {"first": Stored(torch.eye(16)[:1].double(), space="s")})
    with pytest.raises(ConfigError, match="space 's'; expected w or z"):
        read(str(file))


def sampler(folder, size=16, **settings):
    fields = {"generator": {"name": "toy", "size": size}, "scorers": [{"name": "colour"}], "samples": 200}
    return InterFaceGAN(folder=str(folder), out="unused.safetensors", **fields | settings)


def test_interrupted_sampling_continues_with_the_same_samples(tmp_path):
    whole = sampler(tmp_path / "a").collect()
    sampler(tmp_path / "b", samples=100).collect()
    changed = (tmp_path / "b" / "000000.npz").stat().st_mtime_ns
    continued = sampler(tmp_path / "b").collect()
    assert torch.equal(whole.scores, continued.scores)
    assert torch.equal(whole.latents, continued.latents)
    assert (tmp_path / "b" / "000000.npz").stat().st_mtime_ns == changed
    with pytest.raises(ConfigError, match="other settings"):
        sampler(tmp_path / "b", truncation=0.5).collect()


def test_another_scorer_reads_the_kept_pictures(tmp_path, monkeypatch):
    first = sampler(tmp_path, samples=100).collect()
    monkeypatch.setattr(Toy, "render", lambda *_, **__: pytest.fail("rendered again"))
    again = sampler(tmp_path, samples=100, scorers=[{"name": "colour", "border": 0.3}]).collect()
    assert torch.equal(again.latents, first.latents)
    assert torch.equal(again.scores[:, 0], first.scores[:, 0])  # brightness
    background = first.names.index("background brightness")
    assert not torch.equal(again.scores[:, background], first.scores[:, background])


def test_kept_pictures_are_those_of_the_generator(tmp_path):
    trainer = sampler(tmp_path, size=64, samples=100)
    trainer.collect()
    kept = _pictures(tmp_path / "000000.zip").float() / 127.5 - 1
    drawn = scorers.pictures(trainer.network, trainer.network.sample(list(range(100)), 1.0))
    assert (kept - drawn).abs().mean() < 0.02


def test_logistic_heads_learn_and_are_judged():
    points, labels = clouds(count=600, overlap=0.4)
    truth = torch.stack([labels, -labels], dim=1) > 0
    weight, bias = fit(points[:400], truth[:400].float(), 0.01)
    [first, second] = judge(points[400:] @ weight.T + bias, truth[400:])
    assert first["accuracy"] > 0.95
    assert first["area"] > 0.98
    assert second["area"] == pytest.approx(first["area"], abs=0.01)
