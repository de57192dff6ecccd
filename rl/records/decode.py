"""Training rows from records: what was logged is trained on as it was sampled, token for token."""

import json
import math
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from graphs.conversation import ImageRef
from graphs.policies.base import Sampling
from rl.records.files import load_image, read_records
from rl.records.invariants import RecordError, check_read
from rl.records.schema import Record
from rl.rows import TrainingRow
from rl.stream import TokenStream
from tools.image_store import Image


def to_row(record: Record, folder: Path, *, reward: float | None = None) -> TrainingRow:
    """Return the training row of a record whose pictures lie in `folder`; `reward` replaces the recorded one."""

    @cache
    def picture(sha256: str) -> Image:
        return load_image(folder, sha256)

    images = tuple(ImageRef(image["sha256"], image["width"], image["height"]) for image in record["images"])
    stream = TokenStream(
        tuple(record["input_ids"]), tuple(record["loss_mask"]), tuple(record["logprobs"]), images, record["prompt_len"]
    )
    metrics: dict[str, Any] = json.loads(record["metrics"])
    facts = {
        "success": float(record["success"]),
        "answered": float(record["status"] == "ok"),
        "searches": float(metrics.get("searches", 0)),
        "turns": float(metrics.get("turns", 0)),
    }
    text = "".join(turn["text"] for turn in record["turns"])
    worth = record["reward"] if reward is None else reward
    return TrainingRow(stream, worth, json.loads(record["rewards"]), text, picture, facts)


class RecordedRows:
    """Rows of logged groups: task i is the i-th group, and its episodes are given out in turn (offline GRPO)."""

    def __init__(self, records: Iterable[Record], folder: Path, *, group: int) -> None:
        """Keep groups of at least `group` episodes, their first `group`.

        Raises RecordError if there is none, or for a record that contradicts itself.
        """
        found: dict[str, list[Record]] = {}
        for record in map(check_read, records):
            if record["status"] != "error":
                found.setdefault(record["group_id"], []).append(record)
        whole = [sorted(members, key=_place)[:group] for members in found.values() if len(members) >= group]
        if not whole:
            raise RecordError(
                f"no group in {folder} has {group} episodes.", remedy="Record with --group, or ask for smaller groups."
            )
        self._sampled = {(record["temperature"], record["top_p"]) for members in whole for record in members}
        self._groups = [[to_row(record, folder) for record in members] for members in whole]
        self._given = [0] * len(self._groups)

    @classmethod
    def open(cls, folder: Path, *, group: int) -> "RecordedRows":
        """Read the groups of a folder of records."""
        return cls(read_records(folder), folder, group=group)

    def check_sampling(self, sampling: Sampling) -> None:
        """Raise RecordError unless all was sampled as training is about to score it, at one temperature and top-p.

        Recorded log-probabilities are those of that distribution, and would be compared with those of another.
        """
        for temperature, top_p in sorted(self._sampled):
            # Parquet may keep numbers in 32 bits.
            if not math.isclose(temperature, sampling.temperature, rel_tol=1e-6) or not math.isclose(
                top_p, sampling.top_p, rel_tol=1e-6
            ):
                raise RecordError(
                    f"groups were sampled at temperature {temperature:g} and top-p {top_p:g}, "
                    f"but training is set to {sampling.temperature:g} and {sampling.top_p:g}.",
                    remedy="Set that temperature under [trl] (top-p is always 1 there), or record the groups again.",
                )

    def __len__(self) -> int:
        return len(self._groups)

    def run(self, wanted: Sequence[tuple[int, int]]) -> list[TrainingRow | None]:
        """Return the next logged episode of each task asked for; the seed is ignored."""
        rows: list[TrainingRow | None] = []
        for task, _ in wanted:
            members = self._groups[task]
            rows.append(members[self._given[task] % len(members)])
            self._given[task] += 1
        return rows


def _place(record: Record) -> int:
    return record["sample_index"]
