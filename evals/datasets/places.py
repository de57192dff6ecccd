"""Files that a data set names in its own tables: what a file says must not lead out of the folder."""

from pathlib import Path, PurePosixPath

from tools.errors import InputError


def below(folder: Path, *parts: str) -> Path:
    """Return the path that `parts` name below a folder; InputError if they are absolute or climb with ".."."""
    place = PurePosixPath(*parts)
    if place.is_absolute() or ".." in place.parts:
        raise InputError(f"the name {str(place)!r} leads out of the data set.", remedy="Download it again.")
    return folder / place
