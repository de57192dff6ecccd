"""Where data lie that tests use but the repository does not hold: SEGSCOUT_SHARED, or `shared` beside the checkout."""

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SEGSCOUT_SHARED") or Path(__file__).parents[2] / "shared")


def needs_shared(folder: str) -> pytest.MarkDecorator:
    """Skip, saying so, where a folder of the shared data is not there."""
    reason = f"needs {folder} of the shared data: set SEGSCOUT_SHARED to the folder that holds it"
    return pytest.mark.skipif(not (SHARED / folder).is_dir(), reason=reason)
