"""Where training runs."""

from typing import Literal

from tools.devices import choose_device
from tools.errors import InputError


def choose_kind(name: str | None) -> Literal["cuda", "cpu"]:
    """Return whether to train on GPUs or on the CPU, by default on GPUs if there are any.

    Raises InputError for a device that is not there, and for one GPU of several: launchers give each process its own.
    """
    device = choose_device(name or None)
    if device.index is not None or device.type not in ("cuda", "cpu"):
        raise InputError(
            f"training does not choose the device {name!r}.", remedy="Use cpu or cuda, and CUDA_VISIBLE_DEVICES=1, …"
        )
    return "cuda" if device.type == "cuda" else "cpu"
