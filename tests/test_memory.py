"""The kept heap: results are the same, nested use and errors leave the process as it was."""

import pytest
import torch

from backends.malloc import kept_heap


def test_results_are_the_same_and_errors_pass_through():
    x = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    plain = x @ x
    with kept_heap(), kept_heap():
        assert torch.equal(x @ x, plain)
    with pytest.raises(KeyError), kept_heap():
        raise KeyError
    assert torch.equal(x @ x, plain)
