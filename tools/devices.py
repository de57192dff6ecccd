"""Choose where models run."""

import torch

from tools.errors import InputError


def choose_device(name: str | None) -> torch.device:
    """Return the named torch device, or by default the first GPU, else the CPU.

    Raises InputError for a name that torch does not know, and for a GPU that is not there.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as cause:
        raise InputError(f"there is no device {name!r}.", remedy="Use cpu, cuda, cuda:1, …") from cause
    if device.type == "cuda" and not (torch.cuda.is_available() and (device.index or 0) < torch.cuda.device_count()):
        raise InputError(f"the device {name!r} is not there.", remedy="Use cpu, or see what segscout doctor finds.")
    return device
