"""OpenVINO IR without OpenVINO: constants and graph of a network, read from its .xml and .bin.

An IR is an XML list of layers and of edges between their ports; a layer of type Const points at `size` bytes
at `offset` of the .bin. Only the standard library's parser and `torch.frombuffer` are used, and every number
in the file is checked against the bytes that are there before anything is allocated.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from backends.converters import ConversionError

DTYPES = {
    "f64": torch.float64,
    "f32": torch.float32,
    "f16": torch.float16,
    "bf16": torch.bfloat16,
    "i64": torch.int64,
    "i32": torch.int32,
    "i16": torch.int16,
    "i8": torch.int8,
    "u8": torch.uint8,
    "boolean": torch.bool,
}
XML_LIMIT = 16 * 2**20  # bytes; the largest network in use here has 0.4 MB


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer of the graph, with the names of the layers that feed it in port order."""

    name: str
    type: str  # operation: "Const", "MatMul", "Convolution", ...
    attributes: dict[str, str]  # the operation's settings as written: "strides", "transpose_b", ...
    inputs: list[str] = field(default_factory=list)
    tensor: Tensor | None = None  # the value of a Const


def read_ir(xml: bytes | Path, binary: bytes | Path) -> dict[str, Tensor]:
    """The constants of an IR by layer name, in file order.

    Raises ConversionError for anything that is not a complete IR.
    """
    return {name: layer.tensor for name, layer in read_graph(xml, binary).items() if layer.tensor is not None}


def read_graph(xml: bytes | Path, binary: bytes | Path) -> dict[str, Layer]:
    """All layers of an IR by name, in file order (an exporter writes them so that inputs come first).

    Raises ConversionError for anything that is not a complete IR.
    """
    root = _parsed(_bytes(xml))
    content = bytearray(_bytes(binary))  # writable, so that torch may share it
    layers: dict[str, Layer] = {}
    by_id: dict[str, Layer] = {}
    for element in root.iterfind("layers/layer"):
        layer = _layer(element, content)
        if layer.name in layers:
            raise ConversionError(f"the network has two layers called {layer.name!r}")
        layers[layer.name] = by_id[element.get("id", "")] = layer
    ports = {key: list(_input_ports(element)) for key, element in _elements(root)}
    feeds: dict[tuple[str, str], str] = {}
    for edge in root.iterfind("edges/edge"):
        source, target = edge.get("from-layer", ""), edge.get("to-layer", "")
        if source not in by_id or target not in by_id:
            raise ConversionError(f"an edge joins layers {source!r} and {target!r}, of which one is missing")
        feeds[target, edge.get("to-port", "")] = by_id[source].name
    for key, layer in by_id.items():
        layer.inputs.extend(feeds[key, port] for port in ports[key] if (key, port) in feeds)
    return layers


def numbered(names: Iterable[str], prefix: str = "", suffix: str = "") -> list[str]:
    """Those of `names` that are prefix + number + suffix, in order of the number.

    Exporters number what has no name of its own in the order of execution: `numbered(ir, "Mul_", "_copy")`.
    """
    found = []
    for name in names:
        if len(name) > len(prefix) + len(suffix) and name.startswith(prefix) and name.endswith(suffix):
            number = name[len(prefix) : len(name) - len(suffix)]
            if number.isdecimal():
                found.append((int(number), name))
    return [name for _, name in sorted(found)]


def _bytes(content: bytes | Path) -> bytes:
    return content.read_bytes() if isinstance(content, Path) else content


def _parsed(xml: bytes) -> ElementTree.Element:
    if len(xml) > XML_LIMIT:
        raise ConversionError(f"the network description has {len(xml)} bytes, more than {XML_LIMIT}")
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:  # no IR has one, and entities can expand without bound
        raise ConversionError("the network description declares a document type")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise ConversionError(f"the network description is not XML: {error}") from error
    if root.tag != "net":
        raise ConversionError(f"the network description is a <{root.tag}>, expected an OpenVINO <net>")
    return root


def _elements(root: ElementTree.Element) -> Iterable[tuple[str, ElementTree.Element]]:
    return ((element.get("id", ""), element) for element in root.iterfind("layers/layer"))


def _input_ports(element: ElementTree.Element) -> Iterable[str]:
    return (port.get("id", "") for port in element.iterfind("input/port"))


def _layer(element: ElementTree.Element, content: bytearray) -> Layer:
    name, operation = element.get("name", ""), element.get("type", "")
    data = element.find("data")
    attributes = dict(data.attrib) if data is not None else {}
    tensor = _constant(name, attributes, content) if operation == "Const" else None
    return Layer(name, operation, attributes, tensor=tensor)


def _constant(name: str, attributes: dict[str, str], content: bytearray) -> Tensor:
    try:
        dtype = DTYPES[attributes["element_type"]]
        shape = [int(side) for side in attributes["shape"].split(",") if side.strip()]
        offset, size = int(attributes["offset"]), int(attributes["size"])
    except (KeyError, ValueError) as error:
        raise ConversionError(f"constant {name!r} is described by {attributes}") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0 or offset < 0 or offset + size > len(content):
        raise ConversionError(f"constant {name!r} lies outside the {len(content)} bytes of the weights")
    if count * dtype.itemsize != size:
        raise ConversionError(f"constant {name!r} of shape {shape} and type {dtype} cannot have {size} bytes")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    # a copy: offsets need not be multiples of the element size
    raw = torch.frombuffer(content, dtype=torch.uint8, count=size, offset=offset).clone()
    return raw.view(dtype).reshape(shape)
