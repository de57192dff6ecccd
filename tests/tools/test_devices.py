import pytest
import torch

from tools.devices import choose_device
from tools.errors import InputError


def test_a_named_device_is_taken() -> None:
    assert choose_device("cpu") == torch.device("cpu")


def test_the_default_is_a_device_that_is_there() -> None:
    assert torch.zeros(1, device=choose_device(None)).sum() == 0


@pytest.mark.parametrize("name", ["banana", "cuda:97", ""])
def test_what_is_not_there_is_the_users_slip(name: str) -> None:
    with pytest.raises(InputError, match="device"):
        choose_device(name)
