"""The manifest of the weights: complete, and every mistake in it is located."""

import pytest
import yaml

from backends import manifest
from backends.converters import Converter
from config import ConfigError
from plugins import names

ENTRY = """
description: a test
licence: MIT
converter: torch_state
source: {name: file}
members: {net.pth: {path: net.pth, sha256: '%s', size: 1}}
""" % ("0" * 64)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("licence: MIT", "licence"),
        ("colour: red", "'colour'"),
        ("members: {a.bin: {path: a, sha256: abc, size: 1}}", "members: a.bin: Member: sha256"),
        ("members: {a.bin: {path: a, sha256: '%s', size: many}}" % ("0" * 64), "'size'"),
        ("members: {../a.bin: {path: a, sha256: '%s', size: 1}}" % ("0" * 64), "members"),
        ("members: {a.bin: {path: ../a, sha256: '%s', size: 1}}" % ("0" * 64), "'../a'"),
        ("members: {a.bin: {path: /etc/passwd, sha256: '%s', size: 1}}" % ("0" * 64), "/etc/passwd"),
        ("members: {state.json: {path: a, sha256: '%s', size: 1}}" % ("0" * 64), "state.json"),
        ("members: {}", "members"),
        ("{source: {name: repository}, members: {a.bin: {path: a, size: 1}}}", "sha256 is needed"),
        ("source: {name: nowhere}", "file, hub, npm, package, repository"),
        ("source: {name: file, variable: HOME}", "unknown setting 'variable'"),
        ("source: {name: hub, repository: a/b, revision: main}", "commit"),
    ],
)
def test_mistakes_are_located(tmp_path, change, words):
    raw = yaml.safe_load(ENTRY) | yaml.safe_load(change)
    if words == "licence":
        del raw["licence"]
    file = tmp_path / "other.yaml"
    file.write_text(yaml.safe_dump({"mine": raw}))
    with pytest.raises(ConfigError) as caught:
        manifest.load(file)
    assert str(caught.value).startswith("other.yaml: mine")
    assert words in str(caught.value)


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: {", "a: 3\n", "A-B: {}\n", "a: {}\na: {}\n"])
def test_what_is_no_manifest_is_refused(tmp_path, text):
    file = tmp_path / "other.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"other\.yaml"):
        manifest.load(file)


def test_the_projects_manifest():
    for entry in manifest.load().values():
        assert entry.licence
        assert "\n" not in entry.description
        assert entry.converter in ["", *names(Converter)]


def test_large_public_models_are_pinned_and_optional():
    for entry in manifest.load().values():
        large = sum(member.size for member in entry.members.values()) > 105e6
        assert entry.optional or not large
        if entry.optional:
            assert entry.source.pinned
            assert entry.licence.partition(";")[0]


def test_fingerprints_differ_and_stay():
    prints = {name: entry.fingerprint() for name, entry in manifest.load().items()}
    assert len(set(prints.values())) == len(prints)
    # stored in share links: must not change while the weights are the same
    assert prints["mobilestylegan_ffhq"] == "e8fdde76c18e7183f7694361bafc2a6ed8404774a7e31025ccb05ea8e878aa5d"
