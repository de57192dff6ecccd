"""What ran: so that a result can be told from one of another version."""

from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version


@dataclass(frozen=True)
class Versions:
    """The version of this package and the names of the parts that made a result; `seed` is that of sampling."""

    segscout: str
    policy: str
    segmenter: str
    seed: int


@lru_cache(maxsize=1)
def segscout_version() -> str:
    """Return the installed version, or "uninstalled" when the code runs straight from a folder."""
    try:
        return version("segscout")
    except PackageNotFoundError:
        return "uninstalled"
