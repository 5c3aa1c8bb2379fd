"""Generators, directions and losses compute what they did when their golden files were made."""

import pytest
import torch
from golden import make
from safetensors.torch import load_file

TOLERANCE = 1e-4  # of the largest value


@pytest.mark.parametrize(
    "case", [pytest.param(c, marks=pytest.mark.weights) if c in make.FETCHED else c for c in make.CASES]
)
def test_the_numbers_are_those_of_the_golden_file(case):
    expected, found = load_file(make.file(case)), make.CASES[case]()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        limit = TOLERANCE * float(value.abs().max())
        torch.testing.assert_close(found[name], value, rtol=0, atol=limit, msg=lambda m, n=name: f"{n}: {m}")


def test_every_golden_file_has_its_case():
    assert {make.file(case) for case in make.CASES} == set(make.FOLDER.glob("*.safetensors"))
    assert sum(make.file(case).stat().st_size for case in make.CASES) < 300_000
