"""The speed report, from a process of its own."""

import json
import subprocess
import sys

from evals.metrics.overlap import mask_iou
from evals.speed.metrics import draw


def test_every_metric_is_timed_and_agrees_with_its_oracle() -> None:
    command = [sys.executable, "-m", "evals.speed.metrics", "--side", "96", "--repeats", "1", "--json"]
    report = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    rows = report["rows"]
    names = [row["metric"] for row in rows]
    for name in ("IoU", "MAE", "Smeasure", "Emeasure", "Fmeasure", "WeightedFmeasure", "boundary F", "gIoU and cIoU"):
        assert name in names
    assert all(row["ms"] > 0 for row in rows)
    compared = {row["metric"]: row["difference"] for row in rows if row["oracle"]}
    assert "IoU" in compared
    assert max(compared.values()) < 1e-6


def test_the_timed_pair_is_neither_alike_nor_apart() -> None:
    levels, truth = draw(96)
    assert len(set(levels.ravel().tolist())) > 50
    assert 0.2 < truth.mean() < 0.5
    assert 0.6 < mask_iou(levels > 127, truth) < 0.98
