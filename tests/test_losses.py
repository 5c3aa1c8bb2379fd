"""Loss terms: what they are zero for, that gradients pass, and that their networks are the published ones."""

import numpy as np
import pytest
import torch
from PIL import Image

from backends import losses, weights
from backends.converters.dlib_resnet import Reader, parse
from backends.networks import dlib_resnet, efficientnet_lite
from backends.networks.dlib_resnet import FaceResNet
from backends.networks.efficientnet_lite import EfficientNetLite
from backends.untrusted import FileError


@pytest.fixture
def pictures():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def photograph(name: str, side: int) -> np.ndarray:
    """The centre of one of scikit-image's photographs."""
    data = pytest.importorskip("skimage.data")
    image = Image.fromarray(getattr(data, name)())
    left, top = (image.width - min(image.size)) // 2, (image.height - min(image.size)) // 2
    box = (left, top, left + min(image.size), top + min(image.size))
    return np.array(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def as_images(pixels: np.ndarray) -> torch.Tensor:
    return torch.tensor(pixels).permute(2, 0, 1)[None] / 127.5 - 1


def random_(network: torch.nn.Module) -> torch.nn.Module:
    """The network with small random weights."""
    source = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        parameter.data = 0.1 * torch.randn(parameter.shape, generator=source)
    return network


def test_terms_are_zero_for_what_is_identical_and_positive_otherwise(pictures):
    features = [pictures, pictures.flip(0)]
    latents, descriptors = torch.rand(2, 1, 4).repeat(1, 5, 1), torch.rand(2, 128)
    assert losses.pixel(pictures, pictures).tolist() == [0, 0]
    assert losses.perceptual(features, features).tolist() == [0, 0]
    assert losses.identity(descriptors, descriptors).tolist() == [0, 0]
    assert losses.delta(latents).tolist() == pytest.approx([0, 0], abs=1e-12)
    assert losses.prior(0 * latents).tolist() == [0, 0]
    assert (losses.pixel(pictures, pictures.flip(0)) > 0).all()
    assert (losses.perceptual(features, features[::-1]) > 0).all()
    assert (losses.delta(pictures[:, 0]) > 0).all()


def test_images_of_a_batch_do_not_influence_each_other(pictures):
    alone = losses.pixel(pictures[:1], pictures[1:])
    together = losses.pixel(pictures, pictures[[1, 1]])
    assert together.tolist() == [pytest.approx(alone.item()), 0]


def test_the_window_weighs_the_middle_and_keeps_the_average(pictures):
    flat, window = losses.window(64, 0.0), losses.window(64, 4.0)
    assert flat.unique().tolist() == [1]
    assert window.mean().item() == pytest.approx(1, abs=1e-5)
    assert (window[32, 32] / window[0, 0]).item() == pytest.approx(5, rel=0.02)
    other = pictures.clone()
    other[0, :, 28:36, 28:36] = 0  # the first differs in the middle, the second in a corner, by the same
    other[1, :, :8, :8] = 0
    middle, corner = losses.pixel(other, pictures, window) / losses.pixel(other, pictures)
    assert middle > 2 * corner


@pytest.mark.parametrize("size", [64, 32, 24])
def test_resize_keeps_the_average(pictures, size):
    resized = losses.resize(pictures, size)
    assert resized.shape == (2, 3, size, size)
    assert resized.mean().item() == pytest.approx(pictures.mean().item(), abs=0.01)


def test_the_chip_is_the_place_that_dlib_would_cut_out():
    ramp = torch.linspace(-1, 1, 257)[:-1] + 1 / 256  # -1...1 at the edges of the pixels
    picture = torch.stack([ramp.expand(256, 256), ramp[:, None].expand(256, 256), torch.zeros(256, 256)])[
        None
    ]
    x, y, _ = (losses.chips(picture)[0] + 1) / 2
    assert x.mean().item() == pytest.approx(0.5, abs=1e-3)  # faces are centred
    step = losses.CHIP_SIDE / dlib_resnet.SIDE
    assert (y[-1, 0] - y[0, 0]).item() == pytest.approx(step * (dlib_resnet.SIDE - 1), abs=1e-4)
    assert y[0, 0].item() == pytest.approx(losses.CHIP_TOP + step / 2, abs=1e-4)


@pytest.mark.parametrize(("make", "side"), [(FaceResNet, 150), (lambda: EfficientNetLite(1.0, 1.0), 64)])
def test_gradients_reach_the_pictures_and_stay_out_of_the_networks(make, side):
    network = random_(make()).eval()
    pictures = torch.rand(1, 3, side, side, requires_grad=True)
    network(pictures).sum().backward()
    assert pictures.grad is not None
    assert pictures.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize("data", [b"", b"\x01\x01\x01\x0dloss_metric_2", bytes(1000)])
def test_a_file_that_is_not_the_network_is_refused(data):
    with pytest.raises(FileError, match="not dlib's face recognition network"):
        parse(data)


@pytest.mark.parametrize("data", [b"\x05\x01", b"\x00", b"\x0f", b"\x31\x01"])
def test_a_broken_integer_is_refused(data):
    with pytest.raises(FileError, match="not dlib's"):
        Reader(data).integer()


def test_a_tensor_must_be_as_large_as_expected():
    sizes = b"\x01\x02" + b"\x01\x03" + 3 * b"\x01\x01"
    numbers = np.array([1, 2, 3], dtype="<f4").tobytes()
    assert Reader(sizes + numbers).tensor(3).tolist() == [1, 2, 3]
    for count, data in [(4, sizes + numbers), (3, sizes + numbers[:-1])]:
        with pytest.raises(FileError, match="not dlib's"):
            Reader(data).tensor(count)


@pytest.mark.weights
def test_descriptors_are_dlibs():
    dlib = pytest.importorskip("dlib")
    oracle = dlib.face_recognition_model_v1(str(weights.path("face_identity")))
    noise = np.random.default_rng(0).integers(0, 256, (150, 150, 3), dtype=np.uint8)
    for chip in (photograph("astronaut", 150), noise):
        expected = np.array(oracle.compute_face_descriptor(chip))
        assert np.abs(dlib_resnet.load()(as_images(chip))[0].numpy() - expected).max() < 1e-5


@pytest.mark.weights
def test_a_truncated_network_is_refused():
    data = weights.path("face_identity").read_bytes()
    with pytest.raises(FileError, match="not dlib's"):
        parse(data[: len(data) // 2])


@pytest.mark.weights
def test_lite0_knows_a_cat():
    logits = efficientnet_lite.load("lite0")(as_images(photograph("chelsea", 224)))
    assert logits.argmax().item() in (281, 282, 285)  # tabby, tiger cat, Egyptian cat


@pytest.mark.weights
def test_perceptual_distance_grows_with_the_distortion():
    picture = as_images(photograph("astronaut", 128))
    target = losses.perceptual_features(picture)
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    distances = [
        losses.perceptual(losses.perceptual_features(picture + level * noise), target).item()
        for level in (0, 0.02, 0.1, 0.4)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
