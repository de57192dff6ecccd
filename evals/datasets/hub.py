"""Where a data set lies: a folder or file of one's own, or a download from the hub."""

import re
from pathlib import Path

from tools.errors import InputError, boundary

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def find_data(data: str, name: str) -> Path:
    """Return the folder or file `data`; a hub id such as Ricky06662/ReasonSeg_val is downloaded, or found downloaded.

    Raises InputError, with the data set's `name`, if there is neither such a path nor such a data set on the hub.
    """
    path = Path(data).expanduser()
    if path.exists():
        return path
    if not _HUB_ID.fullmatch(data):
        raise InputError(f"{data} is missing.", remedy=f"Give the folder of {name}, or its hub id, with --data.")
    from huggingface_hub import snapshot_download

    remedy = f"Give the folder of {name} with --data, or check the id and the connection."
    with boundary(InputError, f"there is no folder {data}, and the hub's data set cannot be had", remedy=remedy):
        return Path(snapshot_download(data, repo_type="dataset"))
