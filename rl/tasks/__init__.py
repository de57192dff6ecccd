"""Where training tasks come from: one file a data set, in its published format, behind one protocol.

`open_tasks` knows them all by name. Demonstrations to imitate (FCoT) are no tasks: see `rl.tasks.fcot`.
"""

from collections.abc import Callable
from pathlib import Path
from typing import cast

from evals.datasets.image_masks import FOLDERS, TEST_ONLY, ImageMasks
from evals.datasets.parquet import holds_parquet
from evals.datasets.reason_seg import ReasonSeg
from evals.datasets.seg_zero import SegZeroSet
from evals.emblems.names import Split
from rl.tasks.base import TaskSource, TrainingTask
from rl.tasks.emblems import MANY, EmblemsSource
from rl.tasks.ok_vos import OKVOSSource
from rl.tasks.pictures import PictureTasks
from rl.tasks.vision_reasoner import VisionReasonerSource
from tools.errors import InputError

__all__ = ["NAMES", "TaskSource", "TrainingTask", "open_tasks"]

Opener = Callable[[Path, str, int, int | None], TaskSource]
"""DATA, split, seed, n → the source."""


def open_tasks(
    name: str, data: Path | None = None, split: str = "train", seed: int = 0, n: int | None = None
) -> TaskSource:
    """Open a source of training tasks by name; at most `n` tasks, the first ones (None: all; of Emblems, 10,000).

    `data` is the folder (or parquet file) of a published data set; Emblems are drawn and need none. `seed` decides what
    is drawn: Emblems' world and clips, OK-VOS's anchor frames. InputError for an unknown name, split, seed or number,
    and for a missing file, which it names with the layout that is expected.
    """
    if name == "emblems":
        return EmblemsSource(cast(Split, split), seed, MANY if n is None else n)
    if name not in _OPENERS:
        raise InputError(f"there are no training tasks named {name!r}.", remedy=f"Choose one of {', '.join(NAMES)}.")
    if data is None:
        raise InputError(f"{name} is a data set on disk.", remedy="Give its folder with --data DIR.")
    if not data.exists():
        raise InputError(f"{data} is missing.", remedy=f"Give the folder of {name} with --data DIR.")
    return _OPENERS[name](data, split, seed, n)


def _ok_vos(data: Path, split: str, seed: int, n: int | None) -> TaskSource:
    return OKVOSSource(data, split, seed, n)


def _reason_seg(data: Path, split: str, seed: int, n: int | None) -> TaskSource:
    """Open the official layout, or the published parquet if that is what DATA holds."""
    if holds_parquet(data):
        return PictureTasks(SegZeroSet("reason-seg", data, n), steps_known=False)
    return PictureTasks(ReasonSeg(data, split, n), steps_known=False)


def _vision_reasoner(data: Path, split: str, seed: int, n: int | None) -> TaskSource:
    return VisionReasonerSource(data, split, n)


def _image_masks(name: str) -> Opener:
    return lambda data, split, seed, n: PictureTasks(ImageMasks(name, data, split, n), steps_known=True)


_OPENERS: dict[str, Opener] = {
    "ok-vos": _ok_vos,
    "reason-seg": _reason_seg,
    "seg-zero": _vision_reasoner,
    "vision-reasoner": _vision_reasoner,
    **{name: _image_masks(name) for name in FOLDERS if name not in TEST_ONLY},
}
NAMES = ("emblems", *_OPENERS)
"""Every source that `open_tasks` knows."""
