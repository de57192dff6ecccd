"""Segmenters by name; heavy libraries are imported only by the one that is asked for."""

from pathlib import Path

from tools.errors import InputError, SegmenterError
from tools.loading import loading
from tools.segmenters.base import Segmenter

EMBEDDED = Path(__file__).parent / "embedded"
"""Folder of the small SAM 2 that ships with the package."""

NAMES = ("sam2", "grabcut")


def load_segmenter(name: str = "sam2", model: str | None = None, device: str | None = None) -> Segmenter:
    """Return the segmenter `name`, one of `NAMES`.

    `model` is a hub id or folder for sam2 (default: the small one that ships with the package), `device` a torch
    device ("cpu", "cuda:1"; default: the first GPU, else the CPU). Raises InputError for an unknown name and
    SegmenterError if the checkpoint cannot be loaded.
    """
    if name == "grabcut":
        from tools.segmenters.grabcut import GrabCutSegmenter

        return GrabCutSegmenter()
    if name != "sam2":
        raise InputError(f"there is no segmenter {name!r}.", remedy=f"Choose one of {', '.join(NAMES)}.")
    if model is None and not (EMBEDDED / "config.json").is_file():
        raise SegmenterError(
            "the small SAM 2 is not in this installation.",
            remedy=f"Restore {EMBEDDED}, name a checkpoint such as facebook/sam2.1-hiera-tiny, or use grabcut.",
        )
    with loading():
        from tools.segmenters.sam2 import Sam2Segmenter

    return Sam2Segmenter(model or str(EMBEDDED), device=device)
