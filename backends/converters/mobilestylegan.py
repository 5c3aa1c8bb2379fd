"""MobileStyleGAN: the OpenVINO networks of the package `random-face` -> the state dict of our network.

OpenVINO is not needed for it. An IR is an XML list of layers; one of type Const points at `size` bytes at
`offset` of the .bin. Every number in the file is checked against the bytes that are there before anything is
allocated.
"""

import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from xml.etree import ElementTree

import torch
from torch import Tensor

from backends.converters import Converter
from backends.networks.mobilestylegan import Mapping as MappingNetwork
from backends.untrusted import FileError

Constants = dict[str, Tensor]  # name of the OpenVINO layer -> its value
DTYPES = {"f32": torch.float32, "i64": torch.int64, "i32": torch.int32}
XML_LIMIT = 16 * 2**20  # bytes; the largest network in use here has 0.4 MB
MEAN_SAMPLES = 65536  # standard error of the mean: 0.4 % of a standard deviation


class MobileStyleGAN(Converter):
    """State dict of networks.mobilestylegan.MobileStyleGAN.

    The exporter kept the names of modulations, depthwise kernels and biases. It folded demodulation into
    pointwise kernels and noise strength into noise maps, and left both with running numbers: their order is
    the network's.
    """

    def convert(self, files: Mapping[str, Path]) -> dict[str, Tensor]:
        """State dict from the .xml and .bin of both networks, with the mean of W added."""
        mapping = read_ir(files["MappingNetwork.xml"], files["MappingNetwork.bin"])
        synthesis = read_ir(files["SynthesisNetwork.xml"], files["SynthesisNetwork.bin"])
        try:
            return _mapping(mapping) | _synthesis(synthesis)
        except (KeyError, ValueError, IndexError) as error:
            raise FileError(f"not the networks of MobileStyleGAN: {error}") from error


def _mapping(constants: Constants) -> dict[str, Tensor]:
    names = [name for name in numbered(constants) if constants[name].is_floating_point()]
    weights = [constants[name] for name in names if len(constants[name].flatten()) > len(constants[name])]
    biases = [constants[name] for name in names if constants[name].ndim == 1]
    state: dict[str, Tensor] = {}
    for i, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        state |= {f"layers.{i}.weight": weight, f"layers.{i}.bias": bias}
    mean = _mean(state, len(weights))
    return {f"mapping.{key}": value for key, value in (state | {"mean": mean}).items()}


@torch.no_grad()
def _mean(state: dict[str, Tensor], depth: int) -> Tensor:
    """Mean of W over fixed samples: the published files do not hold StyleGAN's running average."""
    network = MappingNetwork(len(state["layers.0.bias"]), depth)
    network.load_state_dict(state, strict=False)  # all but the mean
    z = torch.randn(MEAN_SAMPLES, network.mean.numel(), generator=torch.Generator().manual_seed(0))
    return torch.cat([network(part) for part in z.split(4096)]).double().mean(0).float()


def _synthesis(constants: Constants) -> dict[str, Tensor]:
    """The constant that scales each modulation goes into the kernel after it: modulations stay StyleGAN's."""
    kernels = [constants[name] for name in numbered(constants, "Mul_", "_copy")]
    scales = [constants[n] for n in numbered(constants, "Constant_") if constants[n].shape == (1, 1, 1, 1)]
    maps = [constants[name] for name in numbered(constants) if constants[name].ndim == 4]
    noises = [value for value in maps if value.shape[2] > 1]
    depth = len(kernels) // 2  # blocks, of two separable convolutions each; one dense convolution before them
    names = ["first"] + [f"blocks.{i}.conv{k}" for i in range(depth) for k in (1, 2)]
    head = f"m.layers.{depth - 1}.to_img"
    state = {
        "first.constant": constants["m.input.input"][0],
        "head.weight": constants[f"{head}.conv.weight"] * scales[-1],
        "head.bias": constants[f"{head}.bias"].flatten(),
        **_linear(constants, f"{head}.conv.modulation", "head.modulation"),
    }
    for name, kernel, noise, scale in zip(names, kernels, noises, scales[:-1], strict=True):
        source = "m.conv1" if name == "first" else f"m.layers.{name.removeprefix('blocks.')}"
        state |= _linear(constants, f"{source}.conv.modulation", f"{name}.modulation")
        state |= {f"{name}.noise": noise[0, 0], f"{name}.bias": constants[f"{source}.bias"].flatten()}
        if name == "first":
            state[f"{name}.weight"] = kernel * scale
        else:
            depthwise = constants[f"{source}.conv.weight_dw"].flatten(1, 2) * scale
            state |= {f"{name}.depthwise": depthwise, f"{name}.pointwise": kernel}
    for i in range(depth):
        state |= _linear(constants, f"m.layers.{i}.up.modulation", f"blocks.{i}.up")
    return {f"synthesis.{name}": value for name, value in state.items()}


def _linear(constants: Constants, source: str, target: str) -> dict[str, Tensor]:
    weight, bias = constants[f"{source}.weight"], constants[f"{source}.bias"]
    return {f"{target}.weight": weight, f"{target}.bias": bias.flatten()}


def read_ir(xml: bytes | Path, binary: bytes | Path) -> Constants:
    """The constants of an IR by layer name, in file order.

    Raises FileError for anything that is not a complete IR.
    """
    root = _parsed(xml.read_bytes() if isinstance(xml, Path) else xml)
    # writable, so that torch may share it
    content = bytearray(binary.read_bytes() if isinstance(binary, Path) else binary)
    constants: Constants = {}
    for layer in root.iterfind("layers/layer[@type='Const']"):
        name, data = layer.get("name", ""), layer.find("data")
        if name in constants:
            raise FileError(f"the network has two layers called {name!r}")
        constants[name] = _constant(name, {} if data is None else data.attrib, content)
    return constants


def numbered(names: Iterable[str], prefix: str = "", suffix: str = "") -> list[str]:
    """Those of `names` that are prefix + number + suffix, in order of the number.

    Exporters number what has no name of its own in the order of execution: `numbered(ir, "Mul_", "_copy")`.
    """
    pattern = re.compile(f"{re.escape(prefix)}([0-9]+){re.escape(suffix)}")
    matches = [match for name in names if (match := pattern.fullmatch(name))]
    return [match[0] for match in sorted(matches, key=lambda match: int(match[1]))]


def _parsed(xml: bytes) -> ElementTree.Element:
    if len(xml) > XML_LIMIT:
        raise FileError(f"the network description has {len(xml)} bytes, more than {XML_LIMIT}")
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:  # no IR has one, and entities can expand without bound
        raise FileError("the network description declares a document type")
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError as error:
        raise FileError(f"the network description is not XML: {error}") from error
    if root.tag != "net":
        raise FileError(f"the network description is a <{root.tag}>, expected an OpenVINO <net>")
    return root


def _constant(name: str, attributes: dict[str, str], content: bytearray) -> Tensor:
    try:
        dtype = DTYPES[attributes["element_type"]]
        shape = [int(side) for side in attributes["shape"].split(",") if side.strip()]
        offset, size = int(attributes["offset"]), int(attributes["size"])
    except (KeyError, ValueError) as error:
        raise FileError(f"constant {name!r} is described by {attributes}") from error
    count = math.prod(shape)
    if min(shape, default=0) < 0 or offset < 0 or offset + size > len(content):
        raise FileError(f"constant {name!r} lies outside the {len(content)} bytes of the weights")
    if count * dtype.itemsize != size:
        raise FileError(f"constant {name!r} of shape {shape} and type {dtype} cannot have {size} bytes")
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    # a copy: offsets need not be multiples of the element size
    raw = torch.frombuffer(content, dtype=torch.uint8, count=size, offset=offset).clone()
    return raw.view(dtype).reshape(shape)
