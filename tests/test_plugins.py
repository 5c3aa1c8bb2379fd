"""The plugin mechanism: folders are kinds, file names are choices, and a config reaches nothing else."""

from pathlib import Path

import pytest

from backends.aligners import Aligner
from backends.converters import Converter
from backends.generators import Generator
from backends.inverters import Inverter
from backends.sources import Source
from config import ConfigError, checked
from directions import DirectionSource
from evaluation.scorers import Scorer
from plugins import build, find, names
from training import Trainer

KINDS = [Aligner, Converter, Generator, Inverter, Source, DirectionSource, Scorer, Trainer]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind in KINDS for name in names(kind)])
def test_every_module_is_one_plugin(kind, name):
    plugin = find(kind, name)
    assert issubclass(plugin, kind)
    assert plugin.__doc__


@pytest.mark.parametrize(
    "name",
    [
        "nothing",
        "",
        "toy.torch.os.system",
        "..editor",
        "os",
        "_stored",
        "__init__",
        "generators.toy",
        None,
        3,
        ["toy"],
    ],
)
def test_a_name_reaches_nothing_but_plugins(name):
    with pytest.raises(ConfigError, match="toy"):
        find(Generator, name)


def test_settings_are_fields():
    assert build(Generator, {"name": "toy", "size": 32}).size == 32


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"name": "toy", "sise": 32}, ["faces.yaml: generator", "'sise'", "size, layers, dim"]),
        ({"name": "toy", "size": "large"}, ["faces.yaml: generator", "size", "large"]),
        ({"name": "toy", "size": [1]}, ["faces.yaml: generator", "size"]),
        ({"name": "nothing"}, ["faces.yaml: generator", "'nothing'", "toy"]),
        ({"size": 32}, ["faces.yaml: generator", "`name:`", "toy"]),
        ("toy", ["faces.yaml: generator", "`name:`"]),
    ],
)
def test_errors_name_the_place_the_key_and_what_works(settings, words):
    with pytest.raises(ConfigError) as caught:
        build(Generator, settings, "faces.yaml: generator")
    assert all(word in str(caught.value) for word in words), caught.value


def test_a_missing_setting_is_named():
    with pytest.raises(ConfigError, match=r"mine\.yaml: Compact needs the setting 'weights'"):
        build(Generator, {"name": "compact"}, "mine.yaml")


def test_settings_cannot_read_the_environment(monkeypatch):
    monkeypatch.setenv("SECRET", "1234")
    toy = find(Generator, "toy")
    with pytest.raises(ConfigError):
        checked(toy, {"size": "${oc.env:SECRET}"})


def test_a_new_file_is_a_new_plugin():
    folder = Path(__file__).parent.parent / "backends" / "generators"
    new = folder / "throwaway_for_a_test.py"
    new.write_text(
        '"""A test."""\nfrom dataclasses import dataclass\nfrom backends.generators.toy import Toy\n'
        "from backends.generators import Generator\n@dataclass\nclass Small(Toy):\n"
        '    """A test."""\n    size: int = 8\n'
    )
    try:
        assert "throwaway_for_a_test" in names(Generator)
        assert build(Generator, {"name": "throwaway_for_a_test"}).size == 8
    finally:
        new.unlink()
