from pathlib import Path

import pytest
from tiny_policy import write_policy


@pytest.fixture(scope="session")
def tiny_policy(tmp_path_factory) -> Path:
    """Folder of a tiny policy with random weights and a real tokenizer."""
    return write_policy(tmp_path_factory.mktemp("policy") / "tiny")
