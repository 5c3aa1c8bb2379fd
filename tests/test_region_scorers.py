"""Scorers of regions and of ImageNet's classes."""

import pytest
import torch

from backends.networks import efficientnet_lite
from config import ConfigError
from evaluation.scorers import Scorer, names
from evaluation.settings import read
from plugins import build
from training import read as trainer
from training.interfacegan import InterFaceGAN


def test_regions_are_measured_apart():
    regions = {"sky": [[0, 0, 0.25, 0.5], [0.75, 0, 1, 0.5]], "tower": [[0.25, 0.5, 0.75, 1]]}
    properties = ["brightness", "warmth", "saturation", "contrast", "greenness"]
    scorer = build(Scorer, {"name": "regions", "regions": regions, "properties": properties})
    picture = torch.full((1, 3, 32, 32), -1.0)
    picture[:, :, :16, :8] = 1.0  # half of the sky is white
    picture[:, 1, 16:, 8:24] = 0.0  # the tower is green
    found = dict(zip(scorer.names, scorer.score(picture, ["a"])[0].tolist(), strict=True))
    assert found["sky brightness"] == pytest.approx(0.5, abs=1e-4)
    assert found["sky contrast"] == pytest.approx(0.5, abs=1e-2)
    assert found["sky greenness"] == pytest.approx(0, abs=1e-5)
    assert found["tower greenness"] == pytest.approx(0.5, abs=1e-5)
    assert found["tower saturation"] == pytest.approx(0.5, abs=1e-5)
    assert found["tower contrast"] == pytest.approx(0, abs=1e-5)
    assert found["tower warmth"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"regions": {"sky": [[0, 0, 1]]}}, "sky: expected"),
        ({"regions": {"sky": [[0.5, 0, 0.5, 1]]}}, "sky: expected"),
        ({"regions": {}, "properties": ["size"]}, "there are: brightness"),
    ],
)
def test_wrong_regions_are_explained(settings, message):
    with pytest.raises(ConfigError, match=message):
        build(Scorer, {"name": "regions", **settings})


def test_classes_are_told_against_each_other(monkeypatch):
    logits = torch.zeros(2, 1000)
    logits[0, 5], logits[1, 9] = 4.0, 4.0
    logits[:, 100] = 50.0  # a class that is not in the list does not matter
    monkeypatch.setattr(efficientnet_lite, "load", lambda network: lambda images: logits)
    scorer = build(Scorer, {"name": "imagenet", "classes": {"one": 5, "two": 9, "three": 11}, "side": 32})
    scores = scorer.score(torch.zeros(2, 3, 64, 64), ["a", "b"])
    assert scores.argmax(1).tolist() == [0, 1]
    assert scores[0, 0] == pytest.approx(4 - float(torch.tensor(2.0).log()), abs=1e-4)
    assert scores[0, 1] == scores[0, 2]


@pytest.mark.parametrize("settings", [{"classes": {"one": 5}}, {"classes": {"one": 5, "two": 1000}}])
def test_wrong_classes_are_explained(settings):
    with pytest.raises(ConfigError, match="at least two"):
        build(Scorer, {"name": "imagenet", **settings})


@pytest.mark.parametrize("domain", ["cats", "towers", "faces"])
def test_shipped_recipes_and_evaluations_name_scores_that_exist(domain):
    from pathlib import Path

    evaluation = read(domain)
    known = names(evaluation.built())
    assert set(evaluation.words) <= set(known)
    assert {evaluation.promise(slider)[0] for slider in evaluation.sliders} <= set(known)
    made = trainer(Path(f"configs/training/{domain}_interfacegan.yaml"))
    assert isinstance(made, InterFaceGAN)
    fitted = names([build(Scorer, settings, "scorers") for settings in made.scorers])
    for wanted in made.directions.values():
        assert {wanted.score, *wanted.keep} <= set(fitted)
    assert set(evaluation.sliders) <= set(made.directions) or not made.directions
