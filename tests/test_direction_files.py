"""Directions that others publish: principal components, factorizations, LatentCLR's models."""

import pickle

import numpy as np
import pytest
import torch

from backends.generators.toy import Toy
from config import ConfigError
from directions._statistics import spread
from directions.ganspace import GANSpace
from directions.latentclr import LatentCLR, read
from directions.sefa import SeFa

DIM, COUNT = 16, 5  # of the toy generator's latents; directions in a file


@pytest.fixture(scope="module")
def toy() -> Toy:
    return Toy()


@pytest.fixture(scope="module")
def basis() -> torch.Tensor:
    return torch.linalg.qr(torch.randn(DIM, DIM, generator=torch.Generator().manual_seed(0)))[0].T[:COUNT]


def pca(tmp_path, basis):
    """e4e's *_pca.pt."""
    file = tmp_path / "ffhq_pca.pt"
    torch.save({"mean": torch.zeros(1, DIM), "std": torch.arange(1.0, 6), "comp": basis[:, None]}, file)
    return GANSpace(file=str(file))


def npz(tmp_path, basis):
    """GANSpace's own file."""
    file = tmp_path / "stylegan2-cat_style_ipca_c80_n1000_w.npz"
    latent = {"lat_comp": basis[:, None].numpy(), "lat_mean": np.zeros((1, DIM)), "lat_stdev": np.ones(COUNT)}
    more = {"act_comp": np.ones((3, 3)), "act_mean": np.ones(3), "random_stdevs": np.ones(3)}
    np.savez(file, **latent, **more)
    return GANSpace(file=str(file))


def factor(tmp_path, basis):
    """rosinality's factor.pt: eigenvectors in columns."""
    file = tmp_path / "factor.pt"
    torch.save({"ckpt": "checkpoint/550000.pt", "eigvec": basis.T.contiguous()}, file)
    return SeFa(file=str(file))


@pytest.mark.parametrize("make", [pca, npz, factor])
def test_published_components(make, tmp_path, toy, basis):
    source = make(tmp_path, basis)
    directions = source.directions(toy)
    assert len(directions) == COUNT
    for vector, direction in zip(basis, directions, strict=True):
        move = direction.step(toy.mean())[0]
        torch.testing.assert_close(move, spread(toy, move) * vector.expand(toy.layers, -1))
        torch.testing.assert_close(move.norm(dim=1), torch.full((6,), spread(toy, move)))
    assert source.find(toy, directions[3].name).name == directions[3].name


def test_components_obey_layers_and_ranges(tmp_path, toy, basis):
    source = pca(tmp_path, basis)
    source.ranges = {2: "1-2"}
    second = source.find(toy, "GANSpace 2").step(toy.mean())[0]
    assert second.norm(dim=1).nonzero().flatten().tolist() == [1, 2]
    assert "standard deviation 2 in ffhq_pca.pt" in source.find(toy, "GANSpace 2").note


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"other": torch.ones(3)}, "holds none of comp"),
        ({"comp": torch.ones(3, 2, DIM)}, r"shape \(3, 2, 16\)"),
        ({"comp": torch.zeros(3, DIM)}, "length zero"),
        ({"comp": torch.full((3, DIM), torch.nan)}, "finite"),
        ({"comp": torch.ones(3, 512)}, "512 numbers, the latents here 16"),
        (torch.ones(3), "instead of named arrays"),
    ],
)
def test_other_files_are_refused(tmp_path, toy, content, words):
    torch.save(content, tmp_path / "some.pt")
    with pytest.raises(ConfigError, match=words):
        GANSpace(file=str(tmp_path / "some.pt")).directions(toy)


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code of a file was run')",))


@pytest.mark.parametrize("source", [GANSpace, SeFa, LatentCLR])
def test_hostile_files_run_nothing(tmp_path, toy, source):
    torch.save({"comp": Hostile(), "model": Hostile()}, tmp_path / "hostile.pt")
    np.savez(tmp_path / "hostile.npz", lat_comp=np.array([Hostile()], dtype=object))
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile()))
    for name in ("hostile.pt", "hostile.npz", "plain.pt", "absent.pt"):
        with pytest.raises(ConfigError):
            source(file=str(tmp_path / name)).directions(toy)


# LatentCLR


def latentclr(tmp_path, model: dict, **settings) -> LatentCLR:
    """A checkpoint as the authors' trainer writes it."""
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}
    content = {"iteration": 9, "optimizer": optimizer, "model": model, "projector": {}, "scheduler": {}}
    torch.save(content | {"scaler": None}, tmp_path / "model.pt")
    return LatentCLR(file=str(tmp_path / "model.pt"), **settings)


def network(depth: int) -> torch.nn.Sequential:
    """One direction of the nonlinear model."""
    layers = torch.nn.Sequential()
    for i in range(1, depth):
        layers.add_module(f"linear_{i}", torch.nn.Linear(DIM, DIM))
        layers.add_module(f"batchnorm_{i}", torch.nn.BatchNorm1d(DIM))
        layers.add_module(f"relu_{i}", torch.nn.ReLU())
    layers.add_module(f"linear_{depth}", torch.nn.Linear(DIM, DIM, bias=depth == 1))
    for layer in layers:
        if isinstance(layer, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(layer.running_mean)
            torch.nn.init.uniform_(layer.running_var, 0.5, 1.5)
    return layers.eval()


def test_global_directions(tmp_path, toy):
    params = torch.randn(12, DIM)
    source = latentclr(tmp_path, {"params": params}, names={3: "fluffiness"}, ranges={3: "4-5"})
    directions = source.directions(toy)
    assert [d.name for d in directions[:3]] == ["fluffiness", "LatentCLR 0", "LatentCLR 1"]
    move = directions[0].step(toy.mean())[0]
    assert move.norm(dim=1).nonzero().flatten().tolist() == [4, 5]
    expected = torch.nn.functional.normalize(params[3], dim=0) * spread(toy, move)
    torch.testing.assert_close(move[4], expected)
    assert source.find(toy, "LatentCLR 11").name == "LatentCLR 11"
    with pytest.raises(ConfigError, match=r"LatentCLR 0 \.\.\. LatentCLR 11"):
        source.find(toy, "LatentCLR 12")


@pytest.mark.parametrize("depth", [1, 3])
def test_directions_that_depend_on_the_latent(tmp_path, toy, depth):
    torch.manual_seed(0)
    nets = [network(depth) for _ in range(3)]
    model = {
        f"nets.{k}.{key}": value for k, net in enumerate(nets) for key, value in net.state_dict().items()
    }
    source = latentclr(tmp_path, model, layers="0-2")
    latents = toy.sample([1, 2])
    for k, (net, direction) in enumerate(zip(nets, source.directions(toy), strict=True)):
        with torch.no_grad():
            vectors = torch.nn.functional.normalize(net(latents[:, 1]), dim=1)
        move = direction.step(latents)
        torch.testing.assert_close(move[:, 1] / move[:, 1].norm(dim=1, keepdim=True), vectors)
        assert not torch.allclose(move[0, 1], move[1, 1], rtol=1e-2)
        assert not move[:, 3:].any()
        assert direction.name == f"LatentCLR {k}"


def test_an_incomplete_model_is_refused(tmp_path, toy):
    model = {"nets.0.linear_1.weight": torch.ones(DIM, DIM), "nets.2.linear_1.weight": torch.ones(DIM, DIM)}
    with pytest.raises(ConfigError, match="not a complete model"):
        latentclr(tmp_path, model).directions(toy)
    model = {"nets.0.linear_1.weight": torch.ones(DIM), "nets.0.linear_2.weight": torch.ones(3, 3)}
    with pytest.raises(ConfigError, match="not a complete model"):
        latentclr(tmp_path, model).directions(toy)
    with pytest.raises(ConfigError, match="holds no model"):
        latentclr(tmp_path, {}).directions(toy)
    with pytest.raises(ConfigError, match="latents of 512 numbers"):
        latentclr(tmp_path, {"params": torch.ones(2, 512)}).directions(toy)


def test_a_changed_file_is_read_again(tmp_path):
    file = latentclr(tmp_path, {"params": torch.ones(2, DIM)}).file
    assert len(read(file)) == 2
    latentclr(tmp_path, {"params": torch.ones(3, DIM)})
    assert len(read(file)) == 3
