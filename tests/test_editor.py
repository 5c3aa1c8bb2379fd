"""The pipeline, and the YAML files that describe it."""

from pathlib import Path

import pytest
import torch
from PIL import Image, ImageChops

from config import ConfigError
from editor import CONFIGS, Editor, domains, read_domain

TOY = Path(__file__).parent / "configs"


@pytest.fixture
def editor() -> Editor:
    return Editor.load("toy", TOY)


SHIPPED = list(domains(CONFIGS))


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_config_builds_without_weights(name, tmp_path, monkeypatch):
    monkeypatch.setenv("SEMANTIC_SLIDERS_CACHE", str(tmp_path))
    built = Editor.load(name)
    assert built.domain.title
    assert not any(tmp_path.iterdir())


def test_a_new_yaml_is_a_new_domain(tmp_path):
    (tmp_path / "zebra.yaml").write_text((TOY / "toy.yaml").read_text())
    (tmp_path / "apples.yaml").write_text((TOY / "toy.yaml").read_text() + "order: 500\n")
    assert list(domains(tmp_path)) == ["zebra", "apples"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": None}, ["bad.yaml", "title"]),
        ({"inverter": {"name": "mean"}}, ["bad.yaml", "'inverter'", "inverters"]),
        ({"inverters": {}}, ["bad.yaml", "inverters", "at least one"]),
        ({"directions": {"a/b": {"name": "sefa"}}}, ["bad.yaml", "a/b"]),
        ({"seeds": ["x"]}, ["bad.yaml", "seeds"]),
        ({"generator": {"name": "toy", "sise": 3}}, ["bad.yaml: generator", "'sise'", "size"]),
        ({"directions": {"SeFa": {"name": "sefo"}}}, ["bad.yaml: directions: SeFa", "'sefo'", "sefa"]),
    ],
)
def test_bad_configs_are_refused_with_reasons(tmp_path, change, words):
    from omegaconf import OmegaConf

    settings = OmegaConf.to_container(OmegaConf.load(TOY / "toy.yaml")) | change
    settings = {key: value for key, value in settings.items() if value is not None}
    OmegaConf.save(OmegaConf.create(settings), tmp_path / "bad.yaml")
    with pytest.raises(ConfigError) as caught:
        Editor.load("bad", tmp_path)
    assert all(word in str(caught.value) for word in words), caught.value


@pytest.mark.parametrize("text", ["- 1\n- 2\n", "a: [", "title: !!python/object/apply:os.system [id]", ""])
def test_files_that_are_no_mapping_are_refused(tmp_path, text):
    (tmp_path / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_domain(tmp_path / "bad.yaml")


def test_a_paste_is_the_change_between_two_views(editor):
    inversion, photo = editor.sample(3), Image.new("RGB", (200, 100), (120, 130, 140))
    square = editor.frame(photo)
    before, after = editor.view(inversion), editor.view(inversion, {"SeFa 1": 2.0})
    paste = editor.paste(square, before, after)
    assert paste.margin == editor.mask.margin
    assert torch.equal(paste.after - paste.before, after.images - before.images)
    assert torch.equal(paste.mask, editor.mask.between(before.look, after.look))
    assert editor.paste(square, before, editor.view(inversion, {})).onto(photo).tobytes() == photo.tobytes()
    assert paste.onto(photo).tobytes() != photo.tobytes()


def test_unknown_names_say_what_there_is(editor):
    with pytest.raises(ConfigError, match="toy"):
        Editor.load("nothing", TOY)
    with pytest.raises(ConfigError, match="mean"):
        next(editor.invert(Image.new("RGB", (64, 64)), "nothing"))
    with pytest.raises(ConfigError, match="SeFa"):
        editor.directions("nothing")
    with pytest.raises(ConfigError, match="SeFa 1"):
        editor.direction("nothing")


def test_overrides_change_one_key():
    changed = Editor.load("toy", TOY, ["generator.size=32"])
    assert changed.sample(1).generator.size == 32


def test_photograph_to_edit(editor):
    crop = editor.align(Image.new("RGB", (90, 70), "red"))
    assert crop.size == (64, 64)
    [inversion] = editor.invert(crop)
    assert inversion.step == inversion.steps
    first = next(iter(editor.directions("SeFa")))
    plain, edited = editor.render(inversion), editor.render(inversion, {first: 3.0})
    assert plain.size == edited.size == (64, 64)
    assert ImageChops.difference(plain, edited).getbbox()


def test_zero_strength_changes_nothing(editor):
    inversion = editor.sample(5)
    edit = dict.fromkeys(editor.directions("SeFa"), 0.0)
    assert editor.render(inversion, edit).tobytes() == editor.render(inversion).tobytes()


def test_edits_add_up_in_any_order(editor):
    latents = editor.sample(5).latents
    one, two = list(editor.directions("SeFa"))[:2]
    forward = editor.edited(latents, {one: 1.0, two: -2.0})
    torch.testing.assert_close(forward, editor.edited(latents, {two: -2.0, one: 1.0}))
    back = editor.edited(forward, {one: -1.0, two: 2.0})
    torch.testing.assert_close(back, latents, atol=1e-5, rtol=0)


def test_direction_ids_lead_back_to_the_direction(editor):
    for layers in (None, "0-1", "2, 4"):
        for identity, direction in editor.directions("SeFa", layers, 4).items():
            latents = editor.sample(1).latents
            torch.testing.assert_close(editor.direction(identity).step(latents), direction.step(latents))
    assert editor.direction("sefa 2").name == "SeFa 2"


def test_the_same_seed_is_the_same_picture(editor):
    again = Editor.load("toy", TOY)
    assert editor.render(editor.sample(9)).tobytes() == again.render(again.sample(9)).tobytes()
    assert editor.render(editor.sample(9)).tobytes() != editor.render(editor.sample(10)).tobytes()


def test_shipped_configs_are_where_the_app_looks():
    assert (CONFIGS / "faces.yaml").exists()
