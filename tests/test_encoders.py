"""Public encoders: files load strictly, passes add up, codes fit their generators."""

import pytest
import torch
from safetensors.torch import load_file
from synthetic_encoders import filled, halvings, idinvert, image_to_latent, pyramid

from backends import checkpoints, layer_map
from backends.converters.encoder_checkpoint import EncoderCheckpoint
from backends.generators.mobilestylegan import MobileStyleGAN
from backends.generators.toy import Toy
from backends.inverters.encoder import Encoder
from backends.losses import pixel, resize
from backends.networks import encoders
from config import ConfigError

SMALL = {"widths": (8, 8, 12, 16, 24), "reduction": 4, "dim": 16}
HEADS = {"e4e": halvings(8), "restyle": [4] * 6}


class Rows(Toy):
    """A generator of any number of rows, whose pictures show the mean of its latents."""

    def __init__(self, layers: int, dim: int, size: int = 64) -> None:
        super().__init__()
        self.layers, self.dim, self.size = layers, dim, size

    def synthesize(self, latents):
        grey = torch.tanh(latents.mean((1, 2)))
        return grey[:, None, None, None].expand(-1, 3, self.size, self.size)


def e4e_file(tmp_path, kind: str = "Encoder4Editing", **changes):
    """As the authors save it: encoder.*, decoder.*, the average, the options."""
    heads = HEADS["restyle" if changes.get("channels") == 6 else "e4e"]
    state = filled(pyramid(heads, **SMALL, **changes))
    file = tmp_path / "encoder.pt"
    content = {
        "state_dict": {f"encoder.{key}": value for key, value in state.items()},
        "latent_avg": torch.linspace(-1, 1, 16).repeat(len(heads), 1),
        "opts": {"encoder_type": kind, "start_from_latent_avg": True, "stylegan_size": 32},
    }
    torch.save(content, file)
    return file, state


@pytest.fixture(scope="module")
def picture():
    return torch.rand(1, 3, 256, 256, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize(
    ("shapes", "count", "rows"),
    [
        (pyramid(halvings(14)), 565, 14),
        (pyramid(halvings(18)), 621, 18),
        (pyramid([4] * 18, channels=6), 565, 18),
        (idinvert(), 120, 14),
        (image_to_latent(), 324, 18),
    ],
)
def test_full_size_files_load_strictly(shapes, count, rows):
    """Keys as published; on the meta device, as these files have up to a gigabyte."""
    assert len(shapes) == count
    state = {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}
    network = encoders.load(state)
    assert (network.layers, network.dim) == (rows, 512)
    for change in ({"more": torch.empty(1)}, {next(iter(shapes)): torch.empty(1, 2)}):
        with pytest.raises((RuntimeError, IndexError)):
            encoders.load(state | change)


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_the_picture_matters(heads, picture):
    first, second = encoders.load(filled(pyramid(heads, **SMALL)))(torch.cat([picture, picture.flip(3)]))
    assert first.std() > 0.1
    assert not torch.allclose(first, second, rtol=1e-2)


def test_heads_of_e4e_add_to_the_first(picture):
    state = filled(pyramid(HEADS["e4e"], **SMALL))
    independent = encoders.load(state | {"deltas": torch.tensor(False)})(picture)
    together = encoders.load(state | {"deltas": torch.tensor(True)})(picture)
    assert torch.equal(together[:, 0], independent[:, 0])
    torch.testing.assert_close(together[:, 1:], independent[:, 1:] + independent[:, :1])


@pytest.mark.parametrize(("kind", "deltas"), [("Encoder4Editing", True), ("GradualStyleEncoder", False)])
def test_the_options_in_the_file_decide(tmp_path, kind, deltas, picture):
    file, state = e4e_file(tmp_path, kind)
    [inversion] = Encoder(str(file)).invert(picture, Rows(8, 16))
    offset = encoders.load(state | {"deltas": torch.tensor(deltas)})(picture)
    expected = offset + torch.linspace(-1, 1, 16)
    torch.testing.assert_close(inversion.latents, expected, rtol=1e-4, atol=1e-4)
    assert inversion.step == inversion.steps == 1


def test_restyle_yields_every_pass(tmp_path, picture):
    file, state = e4e_file(tmp_path, "ProgressiveBackboneEncoder", channels=6)
    generator = Rows(6, 16)
    inversions = list(Encoder(str(file), passes=3).invert(picture, generator))
    assert [(inversion.step, inversion.steps) for inversion in inversions] == [(1, 3), (2, 3), (3, 3)]
    network, latents = encoders.load(state), torch.linspace(-1, 1, 16).expand(1, 6, -1)
    assert not torch.allclose(inversions[0].latents, inversions[2].latents, rtol=0.1)
    for inversion in inversions:
        shown = generator.render(latents)[:, :, :1, :1].expand(-1, -1, 256, 256)
        latents = latents + network(torch.cat([picture, shown], 1))
        torch.testing.assert_close(inversion.latents, latents, rtol=1e-3, atol=1e-3)


def test_idinvert_and_image_to_latent(tmp_path, picture):
    for shapes, count in ((idinvert((4, 6, 8, 8, 8, 8, 8), dim=16), 14), (image_to_latent(4, 8, 16), 18)):
        file = tmp_path / "encoder.pth"
        torch.save(filled(shapes), file)
        report = checkpoints.inspect(file)
        assert (report.plugin, report.layers, report.dim) == ("inverters/encoder", count, 16)
        [inversion] = Encoder(str(file)).invert(picture, Rows(count, 16))
        assert inversion.latents.shape == (1, count, 16)
        assert inversion.latents.isfinite().all()


def test_a_file_with_a_generator_beside_it(tmp_path):
    """What a converter of the manifest writes is what the plugin reads."""
    file, state = e4e_file(tmp_path)
    converted = EncoderCheckpoint().convert({"encoder.pt": file})
    assert converted.keys() == state.keys() | {"deltas", "latent_avg"}
    assert converted["latent_avg"].shape == (1, 8, 16)


def test_an_incomplete_encoder_is_refused(tmp_path):
    state = filled(pyramid(HEADS["e4e"], **SMALL))
    del state["body.5.res_layer.3.weight"]
    torch.save(state, tmp_path / "cut.pt")
    with pytest.raises(ConfigError, match=r"incomplete.*body\.5\.res_layer\.3\.weight"):
        next(iter(Encoder(str(tmp_path / "cut.pt")).invert(torch.zeros(1, 3, 256, 256), Rows(8, 16))))


def test_an_encoder_for_another_generator_is_refused(tmp_path, picture):
    file, _ = e4e_file(tmp_path)
    with pytest.raises(ConfigError, match=r"8 layers of 16 numbers; .* needs 1 or 10 layers of 16"):
        next(iter(Encoder(str(file)).invert(picture, Rows(10, 16))))


def test_the_layers_of_stylegan2_on_mobilestylegan():
    code = torch.arange(18.0)[None, :, None].expand(1, -1, 4)
    adapted = layer_map.adapted(code, 23)
    assert adapted is not None
    assert adapted[0, :, 0].tolist() == [
        0, 1, 1, 2, 3, 3, 4, 5, 5, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13, 14, 17,
    ]  # fmt: skip
    broadcast = torch.randn(1, 1, 4)
    assert torch.equal(layer_map.adapted(broadcast.expand(1, 18, 4), 23), layer_map.adapted(broadcast, 23))
    assert layer_map.adapted(code, 20) is None


def test_passes_are_at_least_one():
    with pytest.raises(ValueError, match="passes must be at least 1"):
        Encoder(passes=0)


def test_the_face_encoder_reads_faces():
    """The file that is shipped: its pictures of generated faces are closer to them than the average face."""
    network = encoders.load(load_file("weights/faces_encoder.safetensors"))
    assert (network.layers, network.dim, network.channels) == (23, 512, 3)
    generator = MobileStyleGAN()
    faces = resize(generator.render(generator.sample([7, 12, 21])), 256)
    again = resize(generator.render(network(faces)), 256)
    average = resize(generator.render(generator.mean()), 256)
    assert (pixel(again, faces) < 0.7 * pixel(average.expand_as(faces), faces)).all()
