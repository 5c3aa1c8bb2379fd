"""An encoder for processors: EfficientNet-Lite features of several depths -> one w, and what each layer adds.

After e4e (Tov et al., SIGGRAPH 2021, section 4): one w for all layers from the deepest features, and a delta
per layer, of coarse layers from deep features and of fine layers from shallow ones. Its IR-SE50 of 270
million weights is replaced by EfficientNet-Lite and a few linear maps; latents are whitened (principal
components of W, one standard deviation long), deltas are within the largest ones.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import Images, Latents
from backends.networks import efficientnet_lite
from backends.networks.efficientnet_lite import SCALES, EfficientNetLite, Size

SIDE = 128  # of the pictures that the trunk sees, pixels
TAPS = (2, 4, 6)  # stages of the trunk that are read: strides 8, 16 and 32
PLACES = (8, 8, 4)  # side of the maps of each stage, after pooling
DEEP, MIDDLE, SHALLOW, FINE = 32, 48, 16, 24  # channels to which maps are reduced before they are flattened
HIDDEN = 256
WIDTHS: dict[int, Size] = {40: "lite0", 48: "lite2"}  # channels of the first tap, of either trunk
COARSE, MEDIUM = 4 / 23, 10 / 23  # the share of the layers that end in the coarse and in the middle group

Features = list[Float[Tensor, "n _ _"]]  # n, places, channels; one for each of TAPS, standardised


class LiteEncoder(nn.Module):
    """Whitened latents of pictures; all sizes are told from the weights when it is loaded."""

    channels = 3  # of the pictures

    def __init__(self, layers: int, dim: int, rank: int, size: Size) -> None:
        """`rank`: largest components of W within which layers may differ from each other."""
        super().__init__()
        self.layers, self.dim, self.rank = layers, dim, rank
        self.groups = groups(layers)
        self.trunk = EfficientNetLite(*SCALES[size])
        del self.trunk.head, self.trunk.classifier
        shallow, middle, deep = (self.trunk.channels[tap] for tap in TAPS)
        self.mean: Tensor
        self.basis: Tensor
        self.register_buffer("mean", torch.zeros(layers, dim))  # of W
        self.register_buffer("basis", torch.eye(dim))  # columns as `Space.basis`, the longest first
        self.shifts = nn.ParameterList(torch.zeros(n) for n in (shallow, middle, deep)).requires_grad_(False)
        self.scales = nn.ParameterList(torch.ones(n) for n in (shallow, middle, deep)).requires_grad_(False)
        flat = PLACES[2] ** 2 * deep + PLACES[1] ** 2 * DEEP
        self.deep = nn.Linear(middle, DEEP, bias=False)
        self.middle = nn.Linear(middle, MIDDLE)
        self.shallow = nn.Linear(shallow, SHALLOW)
        self.fine = nn.Linear(shallow, FINE)
        self.base = nn.Linear(flat, dim)
        inputs = (flat, PLACES[1] ** 2 * (MIDDLE + SHALLOW), PLACES[0] ** 2 * FINE + middle + deep)
        self.hidden = nn.ModuleList(nn.Linear(n, HIDDEN) for n in inputs)
        additions = [nn.Linear(HIDDEN, n * rank) for n in self.groups]
        self.more = nn.Linear(HIDDEN, dim)
        self.additions = nn.ModuleList(additions)
        nn.init.orthogonal_(self.deep.weight)
        for last in (self.more, *additions):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def features(self, images: Images) -> Features:
        """What the heads read: maps of the trunk, pooled and standardised."""
        if images.shape[-1] < SIDE:
            images = F.interpolate(images, (SIDE, SIDE), mode="bilinear")
        images = F.adaptive_avg_pool2d(images, SIDE)
        images = images.contiguous(memory_format=torch.channels_last)
        maps = zip(self.trunk.features(images, TAPS), PLACES, self.shifts, self.scales, strict=True)
        return [
            (F.adaptive_avg_pool2d(x, side).flatten(2).mT - shift) * scale for x, side, shift, scale in maps
        ]

    def flat(self, features: Features) -> Float[Tensor, "n inputs"]:
        """What w is read from: one row for each picture."""
        return torch.cat([features[2].flatten(1), self.deep(features[1]).flatten(1)], 1)

    def heads(self, features: Features) -> tuple[Float[Tensor, "n dim"], Float[Tensor, "n layers rank"]]:
        """The whitened w, and what each layer adds to its largest components."""
        shallow, middle, deep = features
        flat = self.flat(features)
        medium = torch.cat([self.middle(middle), self.shallow(shallow)], 2).flatten(1)
        fine = torch.cat([self.fine(shallow).flatten(1), middle.mean(1), deep.mean(1)], 1)
        hidden = [F.silu(layer(x)) for layer, x in zip(self.hidden, (flat, medium, fine), strict=True)]
        deltas = [
            layer(x).unflatten(1, (-1, self.rank)) for layer, x in zip(self.additions, hidden, strict=True)
        ]
        return self.base(flat) + self.more(hidden[0]), torch.cat(deltas, 1)

    def coordinates(
        self, base: Float[Tensor, "n dim"], deltas: Float[Tensor, "n layers rank"]
    ) -> Float[Tensor, "n layers dim"]:
        """Both together, whitened."""
        return base[:, None] + F.pad(deltas, (0, self.dim - self.rank))

    def latents(self, coordinates: Float[Tensor, "n layers dim"]) -> Latents:
        """W+ of whitened coordinates."""
        return coordinates @ self.basis.T + self.mean

    def forward(self, images: Images) -> Latents:
        """W+ of pictures in [-1, 1], of any size."""
        return self.latents(self.coordinates(*self.heads(self.features(images))))

    @staticmethod
    def new(layers: int, dim: int, rank: int, size: Size, seed: int = 0) -> "LiteEncoder":
        """One to be trained: the trunk as ImageNet made it, random heads that say no deltas.

        Raises backends.weights.WeightsError when the trunk's weights cannot be had.
        """
        trunk = efficientnet_lite.load(size).state_dict()  # loading draws random numbers, the first time
        torch.manual_seed(seed)
        network = LiteEncoder(layers, dim, rank, size)
        own = {key: value for key, value in trunk.items() if not key.startswith(("head.", "classifier."))}
        network.trunk.load_state_dict(own)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @staticmethod
    def load(state: dict[str, Tensor]) -> "LiteEncoder":
        """The encoder with these weights, for inference. Raises KeyError or RuntimeError for others."""
        layers, dim = state["mean"].shape
        outputs = sum(len(state[f"additions.{i}.bias"]) for i in range(len(TAPS)))
        network = LiteEncoder(layers, dim, outputs // layers, WIDTHS[len(state["shifts.0"])])
        network.load_state_dict({key: value.float() for key, value in state.items()})
        return network.requires_grad_(False).eval()


def groups(layers: int) -> list[int]:
    """How many layers read coarse, medium and fine features."""
    coarse, medium = (max(at, round(layers * share)) for at, share in ((1, COARSE), (2, MEDIUM)))
    return [coarse, medium - coarse, layers - medium]
