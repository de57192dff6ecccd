"""The policies that records are made with and compared with: named as people write them, loaded in process."""

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from graphs.policies.loading import EMBEDDED, EMBEDDED_FOLDER
from tools.errors import PolicyError
from tools.loading import loading

if TYPE_CHECKING:
    from graphs.policies.batching import BatchingPolicy

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_DECIDING = ("*.safetensors", "config.json", "tokenizer.json")
_SLICES, _BYTES = 16, 4096


def load_batching(policy: str) -> "BatchingPolicy":
    """Load embedded, a checkpoint folder or a hub id; PolicyError at once for a name that can be none of them."""
    if policy != EMBEDDED and not Path(policy).is_dir() and not _HUB_ID.fullmatch(policy):
        raise PolicyError(
            f"there is no policy {policy!r}.", remedy="Use embedded, a checkpoint folder, or a hub id as owner/name."
        )
    with loading():
        from graphs.policies.batching import BatchingPolicy

    loaded: BatchingPolicy = BatchingPolicy.load(EMBEDDED_FOLDER if policy == EMBEDDED else policy)
    return loaded


def fingerprint(policy: str) -> str:
    """Return what tells a checkpoint in a folder from others under the same name: a hash of parts of each file.

    These are its weights, sizes and tokenizer. Empty for what lies in no folder, a hub id or an address.
    """
    folder = EMBEDDED_FOLDER if policy == EMBEDDED else Path(policy)
    digest, files = hashlib.sha256(), sorted(file for kind in _DECIDING for file in folder.glob(kind))
    for path in files:
        size = path.stat().st_size
        digest.update(f"{path.name} {size} ".encode())
        with path.open("rb") as file:
            for part in range(1, _SLICES + 1):
                file.seek(max(0, size * part // _SLICES - _BYTES))
                digest.update(file.read(_BYTES))
    return digest.hexdigest()[:16] if files else ""
