"""FCoT, the cold start of Seg-R1 (geshang/FCoT on the hub, arXiv 2506.22624): worked answers to imitate, no masks.

Parquet, split "train", columns problem, image, thinking, solution and perhaps system. What the policy should say is
thinking, a space and solution, as published; its coordinates are what they are in the text.
"""

from dataclasses import dataclass
from pathlib import Path

from evals.datasets.base import at_most
from evals.datasets.parquet import ParquetRows, decode_picture, find_parquet
from tools.image_store import Image

LAYOUT = "Download geshang/FCoT, so that DATA/data/<split>-*.parquet has columns problem, image, thinking and solution."
_COLUMNS = ("problem", "image", "thinking", "solution")


@dataclass(frozen=True)
class DemonstrationTask:
    """One worked answer: what the policy is asked, the RGB picture uint8 (height, width, 3), and what it should say.

    `system` is the system prompt, empty if there is none.
    """

    id: str
    prompt: str
    image: Image
    target: str
    system: str = ""


class FCoTSource:
    """Read FCoT's demonstrations; InputError names a missing or broken file, MediaError a broken picture."""

    name = "fcot"

    def __init__(self, data: Path, split: str = "train", n: int | None = None) -> None:
        self._rows = ParquetRows(find_parquet(data, split, LAYOUT), _COLUMNS, LAYOUT)
        self._count = at_most(len(self._rows), n)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int, /) -> DemonstrationTask:
        """Load a demonstration; IndexError beyond the last."""
        index = range(len(self))[index]
        row = self._rows.row(index, (*_COLUMNS, "system"))
        image = decode_picture(row["image"], f"the picture of FCoT's row {index}")[0]
        target = f"{row['thinking']} {row['solution']}"
        return DemonstrationTask(f"fcot-{index:05d}", str(row["problem"]), image, target, str(row["system"] or ""))
