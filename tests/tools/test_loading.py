"""Large libraries load without being searched for garbage, and what comes after them is searched again."""

import gc

import pytest

from tools.loading import loading


def test_the_collector_rests_while_something_loads():
    with loading():
        with loading():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_it_works_again_if_nothing_can_be_loaded():
    with pytest.raises(ModuleNotFoundError), loading():
        raise ModuleNotFoundError
    assert gc.isenabled()


def test_who_has_switched_it_off_finds_it_so():
    gc.disable()
    try:
        with loading():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
