import pytest
from sam2_models import tiny_config, write_checkpoint


@pytest.fixture(scope="session")
def tiny_sam2(tmp_path_factory) -> str:
    """Folder of a tiny SAM 2 with random weights and trained-memory classes."""
    return write_checkpoint(tmp_path_factory.mktemp("sam2") / "tiny", tiny_config())
