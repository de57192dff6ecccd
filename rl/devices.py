"""Where training runs."""

from typing import Literal, cast

from tools.devices import choose_device
from tools.errors import InputError


def choose_kind(name: str | None) -> Literal["cuda", "cpu"]:
    """Return whether to train on GPUs or on the CPU, by default on GPUs if there are any.

    Raises InputError for what is neither, one GPU of several included: launchers give each process its own. Also for
    GPUs that are not there.
    """
    if name and name not in ("cuda", "cpu"):
        raise InputError(
            f"nothing is trained on {name!r}.", remedy="Use cpu or cuda; choose among GPUs with CUDA_VISIBLE_DEVICES."
        )
    return cast(Literal["cuda", "cpu"], choose_device(name or None).type)
