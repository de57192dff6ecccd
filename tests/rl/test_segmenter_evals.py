"""The measurements of segmenters: emblems, CamVid components, baselines."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from evals.camvid import camvid_cases
from evals.emblems.sprites import SHAPES
from evals.metrics.overlap import mask_iou
from evals.segmenters import FilledBox, InscribedEllipse, emblem_cases, mean_line, table
from tools.errors import InputError, MediaError
from tools.segmenters.prompts import box_of


def test_emblem_cases_are_seeded_and_go_through_the_shapes() -> None:
    cases = list(emblem_cases(20, seed=3, jitter=6))
    again = list(emblem_cases(20, seed=3, jitter=6))
    assert [case.kind for case in cases] == list(SHAPES) * 2
    assert all(np.array_equal(a.truth, b.truth) and a.box == b.box for a, b in zip(cases, again, strict=True))
    for case in cases:
        true_box = box_of(case.truth)
        assert true_box is not None
        assert np.abs(np.array(case.box) - true_box).max() <= 6
        assert case.truth.sum() > 400


def test_the_table_of_a_baseline() -> None:
    cases = list(emblem_cases(10, seed=0, jitter=0))
    filled, ellipse = table(FilledBox(), cases), table(InscribedEllipse(), cases)
    assert filled["n"] == ellipse["n"] == 10
    by_kind = ellipse["by_kind"]
    assert isinstance(by_kind, dict)
    assert by_kind["circle"]["miou"] > 0.95
    line = mean_line("miou", [0.2, 0.4, 0.9])
    assert (line["n"], line["miou"]) == (3, 0.5)
    low, high = line["ci95"]  # type: ignore[misc]
    assert 0.2 <= low < 0.5 < high <= 0.9


def test_iou() -> None:
    one, other = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert mask_iou(one, other) == 1
    one[:2], other[1:3] = True, True
    assert mask_iou(one, other) == pytest.approx(1 / 3)


def test_camvid_components(tmp_path: Path) -> None:
    for part in ("images", "labels"):
        (tmp_path / part).mkdir()
    labels = np.full((90, 120), 3, np.uint8)
    labels[10:40, 20:50] = 8
    labels[50:80, 60:100] = 9
    labels[0:5, 0:5] = 10
    cv2.imwrite(str(tmp_path / "labels" / "a.png"), labels)
    cv2.imwrite(str(tmp_path / "images" / "a.jpg"), np.zeros((90, 120, 3), np.uint8))
    cases = camvid_cases(tmp_path)
    assert [(case.kind, case.box) for case in cases] == [("car", (20, 10, 50, 40)), ("pedestrian", (60, 50, 100, 80))]
    (tmp_path / "images" / "a.jpg").write_bytes(b"no picture")
    with pytest.raises(MediaError, match="cannot be read"):
        camvid_cases(tmp_path)
    with pytest.raises(InputError, match="no CamVid labels"):
        camvid_cases(tmp_path / "elsewhere")
