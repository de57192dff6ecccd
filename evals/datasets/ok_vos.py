"""OK-VOS, the benchmark of Seg-ReSearch (iSEE-Laboratory, arXiv 2602.04454), in its published layout.

DATA/<split>.parquet                                question, images[], ability, video, oid; perhaps id, steps
DATA/<split>/JPEGImages/<video>/<stem>.jpg          frames
DATA/<split>/Annotations/<video>/<oid>/<stem>.png   masks; the target is what is exactly 255
"""

import re
from collections.abc import Sequence
from pathlib import Path

from evals.datasets.base import Sample, at_most
from evals.datasets.ok_vos_clips import LAYOUT, ObjectClip
from evals.datasets.parquet import ParquetRows, find_parquet

_COLUMNS = ("question", "images", "ability", "video", "oid")
_QUESTION = re.compile(r"(?P<context>.*?)\s*Please find '(?P<sought>.+)' in the provided video\.?\s*", re.DOTALL)


class OKVOS:
    """Read OK-VOS, whole videos; frames and masks are decoded when they are looked at.

    InputError names a missing file, MediaError a broken one.
    """

    name = "ok-vos"

    def __init__(self, data: Path, split: str = "test", n: int | None = None) -> None:
        self._rows = ParquetRows(find_parquet(data, split, LAYOUT), _COLUMNS, LAYOUT)
        self._folder = (data.parent if data.is_file() else data) / split
        self._count = at_most(len(self._rows), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> Sample:
        """Load a sample; IndexError beyond the last."""
        return self.sample(index, self.clip(index))

    def clip(self, index: int) -> ObjectClip:
        """Return the target's clip, from which nothing is read yet; IndexError beyond the last."""
        row = self._rows.row(range(len(self))[index], _COLUMNS)
        stems = sorted(str(stem).removesuffix(".jpg") for stem in row["images"])
        return ObjectClip(self._folder, str(row["video"]), str(row["oid"]), tuple(stems))

    def sample(self, index: int, clip: ObjectClip) -> Sample:
        """Return a sample as seen in `clip`: its own, or some of its frames."""
        index = range(len(self))[index]
        row = self._rows.row(index, ("id", "question", "ability"))
        name = str(index if row["id"] is None else row["id"])
        return Sample(name, plain_query(row["question"]), clip.frames(), clip.masks, str(row["ability"]))

    def steps(self, index: int) -> tuple[str, ...]:
        """Return the searches that an expert makes, as published for training; empty if none are."""
        steps: str | Sequence[str] | None = self._rows.row(range(len(self))[index], ("steps",))["steps"]
        return (steps,) if isinstance(steps, str) else tuple(str(step) for step in steps or ())


def plain_query(question: str) -> str:
    """Take a published question out of its wrapping, which dialects add again; a sentence of context before it stays.

    "It rained. Please find 'the dog' in the provided video." → "It rained. the dog"; anything else is left as it is.
    """
    match = _QUESTION.fullmatch(question)
    return f"{match['context']} {match['sought']}".strip() if match else question.strip()
