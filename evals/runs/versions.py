"""Versions of what decides numbers, kept with every result."""

from importlib.metadata import PackageNotFoundError, version

_PACKAGES = ("segscout", "torch", "transformers", "numpy", "opencv-python-headless")


def versions() -> dict[str, str]:
    """Return the version of each package that decides numbers."""
    return {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
