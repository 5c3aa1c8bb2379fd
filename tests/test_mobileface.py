"""The second judge of identity: its file read as data, its network against the published graph."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from backends import weights
from backends.converters.mobileface import MobileFace as Converter
from backends.converters.mobileface import read
from backends.networks.mobileface import SIDE, MobileFace, load
from backends.untrusted import FileError
from editor import Editor
from evaluation import judges


def described(**shapes: list[int]) -> bytes:
    listed = [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in shapes.items()]
    return json.dumps({"weightsManifest": [{"weights": listed}]}).encode()


def test_weights_follow_each_other():
    numbers = np.arange(7, dtype="<f4")
    found = read(described(a=[2, 3], b=[]), numbers.tobytes())
    assert found["a"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found["b"].item() == 6


@pytest.mark.parametrize(
    ("description", "content"),
    [
        (b"", b""),
        (b"[]", b""),
        (b'{"weightsManifest": [{"weights": [{"name": "a", "shape": ["x"], "dtype": "float32"}]}]}', b""),
        (described(a=[2]).replace(b"float32", b"uint8"), b"12345678"),
        (described(a=[10**9]), b"12345678"),
        (described(a=[-2, -1]), b"12345678"),
        (described(a=[1]), b"12345678"),
    ],
)
def test_what_is_no_model_is_refused(description, content):
    with pytest.raises(FileError):
        read(description, content)


@pytest.mark.parametrize("shapes", [{"a": [1]}, {"dense/kernel": [1]}])
def test_another_model_is_refused(tmp_path, shapes):
    files = {name: tmp_path / name for name in ("mobileface.json", "mobileface.bin")}
    files["mobileface.json"].write_bytes(described(**shapes))
    files["mobileface.bin"].write_bytes(b"1234")
    with pytest.raises(FileError, match="not the MobileFace"):
        Converter().convert(files)


def test_the_picture_decides_the_descriptor():
    torch.manual_seed(0)
    network = MobileFace()
    for value in network.parameters():
        torch.nn.init.normal_(value, std=0.1)
    found = network(torch.rand(2, 3, SIDE, SIDE) * 2 - 1)
    assert found.shape == (2, 256)
    assert not torch.allclose(found[0], found[1])


def graph(description: Path, content: Path, chips: torch.Tensor) -> torch.Tensor:
    """The published graph, node by node, as TensorFlow.js executes it."""
    model, values = json.loads(description.read_bytes()), {}
    constants = read(description.read_bytes(), content.read_bytes())
    operations = {
        "Pad": lambda x, sides: F.pad(x, [n for pair in sides.flip(0).tolist() for n in pair]),
        "AddV2": torch.add,
        "Sub": torch.sub,
        "Mul": torch.mul,
        "Maximum": torch.maximum,
        "Minimum": torch.minimum,
        "MatMul": torch.matmul,
        "Reshape": lambda x, _: x.flatten(1),
    }
    for node in model["modelTopology"]["node"]:
        inputs = [values[name] for name in node.get("input", [])]
        if node["op"] == "Const":
            value = constants[node["name"]]
        elif node["op"] == "Placeholder":
            value = ((chips + 1) * 127.5).permute(0, 2, 3, 1)
        elif "Conv" in node["op"]:
            value = _convolved(node, *inputs)
        else:
            value = operations[node["op"]](*inputs)
        values[node["name"]] = value
    return value


def _convolved(node, x, weight):
    attributes = node["attr"]
    assert base64.b64decode(attributes["padding"]["s"]) == b"VALID"
    stride = int(attributes["strides"]["list"]["i"][1])
    depthwise = "Depthwise" in node["op"]
    kernel = weight.permute(2, 3, 0, 1) if depthwise else weight.permute(3, 2, 0, 1)
    groups = len(kernel) if depthwise else 1
    return F.conv2d(x.permute(0, 3, 1, 2), kernel, None, stride, groups=groups).permute(0, 2, 3, 1)


@pytest.mark.weights
def test_the_network_is_the_published_graph():
    chips = torch.rand(2, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 2 - 1
    files = [weights.path("face_judge", f"mobileface.{ending}") for ending in ("json", "bin")]
    published = graph(*files, chips)
    assert (load()(chips) - published).abs().max() < 1e-4 * published.abs().max()


@pytest.mark.weights
def test_a_face_is_nearer_to_itself_than_to_another():
    faces = Editor.load("faces")
    latents = faces.generator.sample([1, 2])
    pictures = faces.generator.render(torch.cat([latents, faces.edited(latents[:1], {"smile": 1.0})]))
    one, other, smiling = F.avg_pool2d(pictures, 4).split(1)
    judge = judges.FACES["MobileFace"]
    assert judge.between(one, one) == pytest.approx(0, abs=1e-5)
    assert judge.between(one, one.flip(3)) < 0.2
    assert judge.between(one, smiling) < 0.5 < judge.between(one, other)
