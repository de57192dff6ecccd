"""The policies that records are made with and compared with: named as people write them, loaded in process."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from graphs.policies.loading import EMBEDDED, EMBEDDED_FOLDER
from rl.policy_names import find_checkpoint
from tools.loading import loading

if TYPE_CHECKING:
    from graphs.policies.batching import BatchingPolicy

_DECIDING = ("*.safetensors", "config.json", "tokenizer.json")
_SLICES, _BYTES = 16, 4096


def load_batching(policy: str) -> "BatchingPolicy":
    """Load embedded, a checkpoint folder or a hub id; PolicyError at once for a name that can be none of them."""
    checkpoint = find_checkpoint(policy)
    with loading():
        from graphs.policies.batching import BatchingPolicy

    loaded: BatchingPolicy = BatchingPolicy.load(checkpoint)
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
