"""Every mask keeps the contract; specks and strangers; heads of generated faces, where weights can be had."""

import pytest
import torch
from examples import settings
from safetensors.torch import save_file

from backends.generators.toy import Toy
from backends.masks import Mask, _soft, subject
from backends.masks._guided import guided
from backends.masks.change import Change
from backends.masks.subject import Subject
from config import ConfigError
from editor import Editor
from plugins import build, names

every_mask = pytest.mark.parametrize("name", names(Mask))


@pytest.fixture
def toy():
    return Toy()


@pytest.fixture
def built(tmp_path, toy):
    return lambda name: build(Mask, {"name": name, **settings("masks", name, tmp_path, toy)})


def looks(mask, generator, *seeds):
    latents = generator.sample(list(seeds))
    return mask.look(generator, latents, generator.render(latents)).split(1)


@every_mask
def test_between_two_pictures_it_is_soft(name, built, toy):
    before, after = looks(built(name), toy, 3, 4)
    mask = built(name).between(before, after)
    assert mask.shape[0] == mask.shape[1] <= 128
    assert mask.min() >= 0
    assert 0.5 < mask.max() <= 1
    assert not mask.requires_grad
    for steps in (mask.diff(dim=0), mask.diff(dim=1)):
        assert steps.abs().max() < 0.7  # no hard edge


@every_mask
def test_a_look_needs_one_picture_at_a_time(name, built, toy):
    mask = built(name)
    assert torch.equal(
        torch.cat(looks(mask, toy, 3, 4)), torch.cat([*looks(mask, toy, 3), *looks(mask, toy, 4)])
    )


@every_mask
def test_previews_look_alike(name, built, toy):
    mask, latents = built(name), toy.sample([3])
    full, small = (mask.look(toy, latents, toy.render(latents, preview)) for preview in (False, True))
    assert full.shape == small.shape
    assert (full - small).abs().mean() < 0.05


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "change", "grow": -1.0},
        {"name": "change", "rows": 4},
        {"name": "subject", "weights": "x", "feather": -0.1},
    ],
)
def test_settings_that_cannot_be_are_refused(settings):
    with pytest.raises(ConfigError):
        build(Mask, settings)


def test_what_does_not_change_stays(toy):
    mask = Change()
    [before] = looks(mask, toy, 3)
    assert not mask.between(before, before).any()
    after = before.clone()
    after[:, :, 20:24, 40:44] += 0.5
    found = mask.between(before, after)
    assert found[20:24, 40:44].min() == 1
    assert not found[:8].any()
    assert not found[:, :20].any()


def test_a_classifier_of_another_generator_is_refused(tmp_path, toy):
    state = {"weight": torch.ones(1, 7, 1, 1), "bias": torch.zeros(1), "layer": torch.tensor(2)}
    for layer in (2, 99):
        save_file({**state, "layer": torch.tensor(layer)}, tmp_path / f"{layer}.safetensors")
        with pytest.raises(ConfigError, match="not made for"):
            looks(Subject(weights=str(tmp_path / f"{layer}.safetensors")), toy, 1)


def test_specks_holes_and_strangers_are_no_subject():
    inside = torch.zeros(1, 1, 64, 64)
    inside[..., 12:60, 16:48] = 1
    head = inside.clone()
    inside[..., 30:33, 30:33] = 0  # an eye
    inside[..., 3:5, 30] = 1  # a speck
    inside[..., 10:30, 54:62] = 1  # somebody else's ear
    assert torch.equal(subject._cleaned(inside), head)
    assert not subject._cleaned(torch.zeros(1, 1, 64, 64)).any()


def test_a_mask_is_continued_in_the_same_colours():
    """The filter's closed form against least squares in every window; and an ear that was missing."""
    source = torch.Generator().manual_seed(0)
    picture = torch.rand(1, 3, 16, 16, generator=source) * 2 - 1
    mask = (torch.rand(1, 1, 16, 16, generator=source) > 0.5).float()
    expected, seen = torch.zeros(16, 16), torch.zeros(16, 16)
    for y in range(16):
        for x in range(16):
            window = (slice(max(y - 2, 0), y + 3), slice(max(x - 2, 0), x + 3))
            colours, wanted = picture[(0, slice(None), *window)].flatten(1), mask[0, 0][window].flatten()
            mean = colours.mean(1, keepdim=True)
            covariance = (colours - mean) @ (colours - mean).T / len(wanted) + 0.01 * torch.eye(3)
            slope = torch.linalg.solve(covariance, (colours - mean) @ (wanted - wanted.mean()) / len(wanted))
            fitted = slope @ (colours - mean) + wanted.mean()
            expected[window] += fitted.view_as(expected[window])
            seen[window] += 1
    inner = (slice(4, 12), slice(4, 12))  # at the border windows have other sizes in two passes
    found = guided(mask, picture, 2)[0, 0]
    torch.testing.assert_close(found[inner], (expected / seen)[inner], atol=1e-4, rtol=1e-4)

    picture = torch.full((1, 3, 64, 64), -0.5)
    picture[:, 0, 10:50, 20:44] = 0.6
    picture[:, 0, 25:35, 44:48] = 0.6  # the ear
    head = torch.zeros(1, 1, 64, 64)
    head[..., 10:50, 20:44] = 1
    continued = guided(head, picture, 6) > 0.5
    assert continued[..., 26:34, 44:46].all()
    assert not continued[..., 50:].any()


def test_the_outline_of_what_the_subject_leaves_is_covered():
    mask, before, after = (
        Subject(weights="none", left=0.05),
        torch.zeros(1, 1, 64, 64),
        torch.zeros(1, 1, 64, 64),
    )
    before[..., 20:40, 10:30] = 1
    after[..., 20:40, 30:50] = 1
    found = mask.between(before, after)
    assert found[17:43, 7:28].min() == 1  # 3 places more
    assert found[16:44, 50:].max() < 1
    still = mask.between(before, before)
    assert still[:, :8].max() < 1


def test_softened_it_keeps_what_is_inside():
    inside = torch.zeros(64, 64)
    inside[20:40, 20:40] = 1
    soft = _soft.soft(inside, grow=2 / 64, feather=8 / 64)
    assert soft[18:42, 18:42].min() == 1
    assert not soft[:10].any()
    assert (soft[30].diff().abs() < 0.13).all()


@pytest.mark.weights
def test_the_mask_of_faces_holds_the_head_and_leaves_the_background():
    """By dlib's landmarks, which know nothing of the generator."""
    editor = Editor.load("faces")
    for seed in (12, 21, 105):
        inversion = editor.sample(seed)
        before, after = editor.view(inversion), editor.view(inversion, {"turn right": 1.5})
        mask = editor.mask.between(before.look, after.look)
        for strength in (0.0, 1.5):
            picture = editor.render(inversion, {"turn right": strength})
            points = torch.tensor(editor.aligner.detect(picture)[0].landmarks) / 1024 * len(mask)
            x, y = points.long().clamp(0, len(mask) - 1).T
            assert mask[y, x].min() > 0.85
        still = editor.mask.between(before.look, before.look)
        assert still[:6, :4].max() < 0.01
        assert still[:6, -4:].max() < 0.01
