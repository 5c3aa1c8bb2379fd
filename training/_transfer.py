"""Starting points of a generator: the face network, a smaller generator that is to grow, or random weights.

What a face network knows of pose, light and backgrounds is in its W and its coarse layers; they fit cats and
even towers better than random ones. Its first blocks are copied, the last of them made narrower, and a new
output layer is fitted by least squares; a short mapping takes the place of the long one, with the same mean
and covariance of W, so that the first entries of z move what moves most.
"""

import logging

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from backends import weights
from backends.networks.compact_stylegan import BASE, SLOPE, CompactStyleGAN, PointwiseConvolution
from backends.networks.eigenpictures import enlarged
from backends.networks.mobilestylegan import Head, Mapping, MobileStyleGAN, Modulation, inverse_haar
from config import ConfigError

FACES = "mobilestylegan_ffhq"  # in the manifest of weights
SHIFT = 2.5  # standard deviations: what is left of the normal distribution below it is bent
SAMPLES = 32  # pictures the output layer is fitted to; each gives thousands of equations
logger = logging.getLogger(__name__)


def scratch(
    channels: tuple[int, ...], eigenpictures: int = 0, dense: int = 0, smooth: bool = False
) -> CompactStyleGAN:
    """Random weights: every channel scale near one, and faint pictures, so that the first steps are calm."""
    network = CompactStyleGAN(channels, eigenpictures=eigenpictures, dense=dense, smooth=smooth)
    for module in network.modules():
        if isinstance(module, Modulation):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
            nn.init.ones_(module.bias)
    dim = network.mean.shape[0]
    turned = torch.linalg.qr(torch.randn(dim, dim)).Q
    sizes = 4 * torch.arange(1, dim + 1) ** -0.5  # a falling spectrum: what z begins with counts most
    set_mapping(network.mapping, turned * sizes, torch.zeros(dim))
    network.head.weight.data[:3] *= 0.5
    network.head.weight.data[3:] *= 0.05  # fine bands at full strength would give the discriminator the game
    network.measure_mean()
    return network


@torch.no_grad()
def from_faces(
    channels: tuple[int, ...], eigenpictures: int = 0, dense: int = 0, smooth: bool = False
) -> CompactStyleGAN:
    """The coarse layers of the FFHQ network in a network of these widths; `dense` last blocks are new.

    Raises ConfigError when a width is larger than the face network's.
    """
    faces = MobileStyleGAN().eval()
    faces.load_state_dict(weights.state(FACES))
    copied = channels[: len(channels) - dense]
    available = faces.synthesis.channels[: len(copied)]
    if copied[:-1] != available[:-1] or copied[-1] > available[-1]:  # Haar bands pair channels by position
        raise ConfigError(
            f"channels {list(copied)}: with `start: faces` only the last may differ from {available}"
        )
    network = CompactStyleGAN(channels, eigenpictures=eigenpictures, dense=dense, smooth=smooth)
    set_mapping(network.mapping, *_components(faces.mapping))
    network.first.load_state_dict(faces.synthesis.first.state_dict())
    w = network.mapping(torch.randn(SAMPLES, 512, generator=torch.Generator().manual_seed(0)))
    x = network.first(w)
    kept = torch.arange(channels[0])
    for ours, theirs in zip(network.blocks[: len(copied) - 1], faces.synthesis.blocks, strict=False):  # type: ignore[arg-type]
        _copy_linear(theirs.up, ours.up, kept)  # type: ignore[arg-type]
        x = ours.raised(x, w)  # type: ignore[operator]
        inputs = kept[: len(kept) // 4]
        for name in ("conv1", "conv2"):
            source, target = getattr(theirs, name), getattr(ours, name)
            inputs, x = _copy_convolution(source, target, inputs, x, w)
        kept = inputs
    for block in network.blocks[len(copied) - 1 :]:  # type: ignore[union-attr]
        _neutral(block.up)  # type: ignore[arg-type]
        x = block(x / x.std(), w[:, None].repeat(1, 3, 1))
    target = F.interpolate(_pictures(faces, w), size=(network.size, network.size), mode="area")
    fit_head(network.head, x, w, haar(target))
    network.measure_mean()
    return network


@torch.no_grad()
def set_mapping(mapping: Mapping, matrix: Float[Tensor, "dim dim"], mean: Float[Tensor, " dim"]) -> None:
    """Two layers that are almost linear: z -> matrix z + mean, then LeakyReLU.

    A photograph's z must be seen in its picture before anything can be learnt from the difference; eight
    layers of a trained mapping hide it. The first layer is shifted to where LeakyReLU is a straight line.
    """
    first, second = mapping.layers
    shift = torch.full_like(mean, SHIFT)
    for layer, weight, bias in (
        (first, torch.eye(len(mean)), shift),
        (second, matrix / 2**0.5, mean - matrix @ shift),
    ):
        layer.weight.copy_(weight)  # type: ignore[operator]
        layer.bias.copy_(bias)  # type: ignore[operator]


def _components(mapping: Mapping) -> tuple[Tensor, Tensor]:
    """Principal axes (columns, longest first) and mean of what the last layer of a face mapping returns."""
    w = mapping(torch.randn(8192, 512, generator=torch.Generator().manual_seed(0))) / 2**0.5
    x = torch.where(w > 0, w, w / SLOPE)  # before its LeakyReLU
    variances, axes = torch.linalg.eigh(x.T.cov())
    return (axes * variances.clamp(min=0).sqrt()).flip(1), x.mean(0)


def _pictures(faces: MobileStyleGAN, w: Float[Tensor, "n 512"]) -> Float[Tensor, "n 3 256 256"]:
    """What the face network draws, reduced to 256 pixels; few at a time, as full size takes memory."""
    latents = w[:, None].repeat(1, faces.synthesis.layers, 1)
    return torch.cat(
        [F.interpolate(faces.synthesis(part), size=256, mode="area") for part in latents.split(4)]
    )


def _copy_linear(source: nn.Linear, target: nn.Linear, rows: Tensor) -> None:
    target.weight.copy_(source.weight[rows])
    target.bias.copy_(source.bias[rows])


def _copy_convolution(
    source: nn.Module, target: PointwiseConvolution, inputs: Tensor, x: Tensor, w: Tensor
) -> tuple[Tensor, Tensor]:
    """Copy a convolution for the `inputs` that were kept; returns its kept outputs and their activations.

    Kept are the outputs that vary most, as many as the target has.
    """
    _copy_linear(source.modulation, target.modulation, inputs)  # type: ignore[arg-type]
    target.depthwise.copy_(source.depthwise[inputs])  # type: ignore[index]
    target.noise.copy_(source.noise)  # type: ignore[arg-type]
    x = F.conv2d(x * target.modulation(w)[:, :, None, None], target.depthwise, padding=1, groups=len(inputs))
    x = F.conv2d(x, source.pointwise[:, inputs], source.bias)  # type: ignore[index, arg-type]
    x = F.leaky_relu(x + source.noise, SLOPE)  # type: ignore[operator]
    count = target.bias.shape[0]
    kept = x.var((0, 2, 3)).topk(count).indices.sort().values if count < x.shape[1] else torch.arange(count)
    target.pointwise.copy_(source.pointwise[kept][:, inputs])  # type: ignore[index]
    target.bias.copy_(source.bias[kept])  # type: ignore[index]
    return kept, x[:, kept]


@torch.no_grad()
def fit_head(head: Head, x: Tensor, w: Tensor, bands: Float[Tensor, "n 12 half half"]) -> None:
    """Output layer by least squares: features `x` of latents `w` -> Haar `bands`.

    Its channel scales start near one, whatever the latent is.
    """
    _neutral(head.modulation)
    fit_layer(head, x * head.modulation(w)[:, :, None, None], bands)


@torch.no_grad()
def fit_layer(
    layer: Head | nn.Conv2d, x: Float[Tensor, "n channels side side"], bands: Float[Tensor, "n 12 side side"]
) -> None:
    """Set the 1x1 convolution from `x` that comes closest to `bands`."""
    columns = x.permute(0, 2, 3, 1).flatten(0, 2)  # (pixels, channels)
    values = bands.permute(0, 2, 3, 1).flatten(0, 2)  # (pixels, 12)
    ridge = 1e-4 * F.pad(columns, (0, 1), value=1.0).double().square().sum(0).mean()
    weight, bias, error = affine(columns, values, float(ridge))
    logger.info("output layer fitted: %.1f %% of the bands' energy left", 100 * error)
    layer.weight.copy_(weight[:, :, None, None])
    layer.bias.copy_(bias)  # type: ignore[union-attr]


def affine(
    rows: Float[Tensor, "n inputs"], values: Float[Tensor, "n outputs"], ridge: float
) -> tuple[Float[Tensor, "outputs inputs"], Float[Tensor, " outputs"], float]:
    """Weight and bias that come closest to `values`, and the share of their energy that is left."""
    columns, values = F.pad(rows, (0, 1), value=1.0).double(), values.double()
    gram = columns.T @ columns
    solution = torch.linalg.solve(
        gram + ridge * torch.eye(len(gram), dtype=gram.dtype), columns.T @ values
    )  # (inputs + 1, outputs)
    error = (columns @ solution - values).square().mean() / values.square().mean()
    return solution[:-1].T.float(), solution[-1].float(), float(error)


def _neutral(modulation: nn.Linear) -> None:
    """Channel scales near one for every latent."""
    nn.init.normal_(modulation.weight, std=0.02 * modulation.in_features**-0.5)
    nn.init.ones_(modulation.bias)


def haar(images: Float[Tensor, "n 3 size size"]) -> Float[Tensor, "n 12 half half"]:
    """The bands from which `inverse_haar` makes `images`: it is orthonormal, so this is its transpose."""
    zeros = torch.zeros(len(images), 12, images.shape[2] // 2, images.shape[3] // 2)
    return torch.func.vjp(inverse_haar, zeros)[1](images)[0]


@torch.no_grad()
def grown(small: CompactStyleGAN, width: int, dense: bool = False) -> CompactStyleGAN:
    """A network of twice the size: the same blocks, and one more of `width` channels that adds detail.

    `dense`: the convolutions of the new block are not separable; those after dense ones never are.

    The small network's picture stays as the low band; the new block starts as a bundle of random filters
    whose output layer is fitted to what smooth enlarging of that picture would add.
    """
    depth = len(small.mapping.layers)
    eigenpictures = 0 if small.eigenpictures is None else len(small.eigenpictures.pictures)
    dense = dense or small.dense > 0
    network = CompactStyleGAN(
        (*small.channels, width),
        small.mean.shape[0],
        skip=True,
        depth=depth,
        eigenpictures=eigenpictures,
        dense=small.dense + dense,
        smooth=small.smooth is not None,
    )
    state = {
        name: value for name, value in small.state_dict().items() if not name.startswith(("head.", "base."))
    }
    network.load_state_dict(network.state_dict() | state)
    block = network.blocks[-1]
    for convolution in (block.conv1, block.conv2):  # type: ignore[union-attr]
        if dense:
            continue
        _neutral(convolution.modulation)  # type: ignore[arg-type, union-attr]
        convolution.depthwise.mul_(0.2)  # type: ignore[operator, union-attr]
        convolution.depthwise[:, :, 1, 1] += 1  # mostly the centre: nothing is blurred  # type: ignore[index, operator]
    _neutral(block.up)  # type: ignore[arg-type]
    z = torch.randn(SAMPLES, small.mean.shape[0], generator=torch.Generator().manual_seed(0))
    w = small.mapping(z)
    latents = w[:, None].repeat(1, network.layers, 1)
    pictures = small.synthesize(w[:, None].repeat(1, small.layers, 1))
    if small.eigenpictures is not None:  # which the large network adds itself
        pictures = pictures - enlarged(small.eigenpictures(w), small.size)
    x = network.cut(latents, network.layers - 5).maps
    assert network.base is not None
    fit_layer(network.base, x, haar(pictures))
    wanted = haar(F.interpolate(pictures, scale_factor=2, mode="bicubic"))
    wanted[:, :3] -= 2 * network.composed(network.base(x))
    fit_head(network.head, network.cut(latents, network.layers - 2).maps, w, wanted)
    return network


def coarse_names(network: CompactStyleGAN, side: int) -> set[str]:
    """Parameters of the mapping and of all layers up to `side` x `side` pixels, and every noise map."""
    frozen = {f"blocks.{i}." for i in range(len(network.blocks)) if BASE * 2 ** (i + 1) <= side}
    frozen |= {"mapping."} | ({"first."} if side >= BASE else set())
    return {
        name
        for name, _ in network.named_parameters()
        if name.endswith("noise") or any(name.startswith(prefix) for prefix in frozen)
    }
