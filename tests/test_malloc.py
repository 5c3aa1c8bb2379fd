"""The kept heap: results are the same; nested and overlapping blocks set and reset it once."""

import threading

import pytest
import torch

from backends import malloc
from backends.malloc import kept_heap


@pytest.fixture
def settings(monkeypatch):
    """What glibc is told, in order: True to keep memory, False to give it back."""
    told = []
    monkeypatch.setattr(malloc, "_set", lambda values, trim=False: told.append(values is malloc._KEEP))
    return told


def test_results_are_the_same_and_errors_pass_through():
    x = torch.randn(256, 256, generator=torch.Generator().manual_seed(0))
    plain = x @ x
    with kept_heap(), kept_heap():
        assert torch.equal(x @ x, plain)
    with pytest.raises(KeyError), kept_heap():
        raise KeyError
    assert torch.equal(x @ x, plain)


def test_an_inner_block_does_not_end_the_outer_one(settings):
    with kept_heap():
        with pytest.raises(KeyError), kept_heap():
            raise KeyError
        assert settings == [True]
    assert settings == [True, False]
    with kept_heap():
        pass
    assert settings == [True, False] * 2


def test_the_last_of_overlapping_threads_ends_it(settings):
    entered, leave = threading.Event(), threading.Event()

    def other() -> None:
        with kept_heap():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with kept_heap():
        thread.start()
        assert entered.wait(10)
    assert settings == [True]  # the other one still runs
    leave.set()
    thread.join(10)
    assert settings == [True, False]
