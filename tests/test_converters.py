"""Converters: OpenVINO's files and PyTorch's are read as data, and nonsense in them is refused."""

import pickle

import pytest
import torch

from backends.converters.mobilestylegan import numbered, read_ir
from backends.converters.torch_state import TorchState
from backends.untrusted import FileError

CONSTANT = '<layer id="{id}" name="{name}" type="Const"><data element_type="{type}" shape="{shape}" '
CONSTANT += 'offset="{offset}" size="{size}"/><output><port id="0"/></output></layer>'


def constant(**changes: object) -> str:
    usual = {"id": 0, "name": "weight", "type": "f32", "shape": "2, 3", "offset": 4, "size": 24}
    return CONSTANT.format(**usual | changes)


def network(layers: str) -> bytes:
    return f'<?xml version="1.0" ?><net name="n"><layers>{layers}</layers><edges/></net>'.encode()


WEIGHTS = b"\x00\x00\x80?" + torch.arange(6.0).numpy().tobytes() + torch.tensor([7]).numpy().tobytes()


def test_constants():
    layers = constant() + constant(id=1, name="axis", type="i64", shape="", offset=28, size=8)
    constants = read_ir(network(layers), WEIGHTS)
    assert constants["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert constants["axis"].item() == 7


def test_other_layers_are_passed_over():
    add = '<layer id="3" name="sum" type="Add"><input><port id="0"/><port id="1"/></input></layer>'
    assert read_ir(network(constant() + add), WEIGHTS).keys() == {"weight"}


def test_numbered():
    names = ["Mul_10_copy", "Mul_9_copy", "Mul_x_copy", "Mul__copy", "12", "Mul_3"]
    assert numbered(names, "Mul_", "_copy") == ["Mul_9_copy", "Mul_10_copy"]
    assert numbered(names) == ["12"]


@pytest.mark.parametrize(
    "xml",
    [
        b"",
        b"<html/>",
        b'<!DOCTYPE net [<!ENTITY a "aaaa">]><net/>',
        network(constant(offset=20)),
        network(constant(offset=-4)),
        network(constant(shape="-2, -3")),
        network(constant(shape="100000, 100000")),
        network(constant(size="many")),
        network(constant(type="string")),
        network(constant() + constant(id=1)),
    ],
)
def test_what_is_no_network_is_refused(xml):
    with pytest.raises(FileError):
        read_ir(xml, WEIGHTS)


def test_a_checkpoint(tmp_path):
    file = tmp_path / "net.pth"
    shared = torch.ones(4, dtype=torch.float16)
    torch.save({"a": shared, "b": shared[:2], "count": torch.tensor(3)}, file)
    state = TorchState().convert({"net.pth": file})
    assert [tensor.dtype for tensor in state.values()] == [torch.float32, torch.float32, torch.int64]


class Harmful:
    def __reduce__(self):
        return exec, ("raise SystemExit('code of a checkpoint ran')",)


@pytest.mark.parametrize("content", [Harmful(), [1, 2], {"a": 3}])
def test_a_checkpoint_of_anything_else_is_refused(tmp_path, content):
    file = tmp_path / "net.pth"
    torch.save(content, file, pickle_module=pickle)
    with pytest.raises(FileError):
        TorchState().convert({"net.pth": file})
