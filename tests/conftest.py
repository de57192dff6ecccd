"""What holds for all tests."""

import gc
from collections.abc import Generator

import pytest

from tools.loading import loading


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage among what tests make, not among a million objects of libraries: that is a tenth of the time."""
    with loading():
        collected = yield
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    return collected
