"""Libraries that only some people need: imported when they are asked for, and named with their extra if missing."""

from importlib import import_module
from types import ModuleType

from tools.errors import InputError, boundary


def load_extra(module: str, what: str) -> ModuleType:
    """Import `module`, which `what` needs; InputError that names the extra `search` if it is not installed."""
    remedy = "Install the extra: pip install --editable '.[search]'."
    with boundary(InputError, f"{what} needs {module.partition('.')[0]}, which cannot be imported", remedy=remedy):
        return import_module(module)
