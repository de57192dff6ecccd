"""Benchmarks of pictures through the command line: a data set in each official layout, and a scripted policy."""

import json
from collections.abc import Callable
from pathlib import Path

import dataset_fixtures as make
import numpy as np
import pyarrow.parquet as pq
import pytest
from chat_server import chat_server, error, said
from pycocotools import mask as coco
from typer.testing import CliRunner

from evals.benchmarks import NAMES, open_benchmark
from evals.cli import app
from evals.metrics.e_measure import e_measure
from evals.metrics.f_measure import f_measure
from evals.metrics.soft_structure import soft_structure_measure
from evals.metrics.weighted_f_measure import weighted_f_measure
from evals.runs.spec import RunSpec
from tools.errors import InputError

TRUTH = make.block(60, 80, slice(15, 45), slice(20, 60))
EMPTY = np.zeros_like(TRUTH)
PART = make.block(60, 80, slice(15, 45), slice(20, 44))
FOUND = said('<answer> {"bbox_2d": [250, 250, 750, 750], "point_2d": [500, 500]} </answer>')
ANSWERS = [
    FOUND,  # right
    FOUND,  # more than is asked for
    said("<answer> [] </answer>"),  # wrongly absent
    said("<answer> [] </answer>"),  # rightly so, where the truth is empty
    error(400, "no"),  # no answer
]
TRUTHS = [TRUTH, PART, TRUTH, EMPTY, TRUTH, TRUTH]
"""Of six samples; the last one's picture is broken."""
RED = np.where(TRUTH[..., None], (110, 20, 15), (30, 30, 100)).astype(np.uint8)
PICTURES = [RED + make.noise(60, 80, number) // 8 for number in range(6)]


def refer(name: str, by: str = "unc", split: str = "val") -> Callable[[Path], Path]:
    """Write a data set of the refer API; the truths are run lengths, an empty one no segmentation at all."""

    def write(data: Path) -> Path:
        targets = [[make.rle(truth)] if truth.any() else [[]] for truth in TRUTHS]
        if name == "grefcoco":
            targets[3] = []
        referred = [(one, [([f"thing {i}"], targets[i])]) for i, one in enumerate(PICTURES)]
        make.refcoco(data, name, referred, split, by)
        return data / "images/mscoco/images/train2014/COCO_train2014_000000000005.jpg"

    return write


def image_masks(pictures: str, masks: str) -> Callable[[Path], Path]:
    def write(data: Path) -> Path:
        make.image_masks(data / pictures, data / masks, list(zip(PICTURES, TRUTHS, strict=True)))
        return data / pictures / "05.jpg"

    return write


def seg_zero(data: Path) -> Path | None:
    """Write Seg-Zero's parquet, whose last picture is broken from the start."""
    rows = [make.reason_seg_row(truth, f"thing {i}", i) for i, truth in enumerate(TRUTHS)]
    for row, one in zip(rows, PICTURES, strict=True):
        row["image"] = make.png(one)
    rows[5]["image"] = {"bytes": b"no picture", "path": None}
    make.write_parquet(data / "data" / "test-00000-of-00001.parquet", rows)
    return None


def evi_lens(data: Path) -> Path:
    questions = [(f"thing {i}", one, truth) for i, (one, truth) in enumerate(zip(PICTURES, TRUTHS, strict=True))]
    make.evi_lens(data, questions)
    return data / "images/searched/images/5.jpg"


REFERRING = {
    "refcoco": (refer("refcoco"), "RefCOCO val, every expression"),
    "refcoco+ --split testA": (refer("refcoco+", split="testA"), "RefCOCO+ testA, every expression"),
    "refcocog --split test": (refer("refcocog", "umd", "test"), "RefCOCOg test, every expression"),
    "refcocog --split google-val": (refer("refcocog", "google"), "RefCOCOg google-val, every expression"),
    "refcoco --split testA": (seg_zero, "RefCOCO testA (by --split alone: the file does not say)"),
    "grefcoco": (refer("grefcoco"), "gRefCOCO val"),
    "evi-lens": (evi_lens, "EviLens segmentation"),
}
SALIENCY = {
    "dut-omron": (image_masks("DUT-OMRON-image", "pixelwiseGT-new-PNG"), "DUT-OMRON"),
    "duts-te": (image_masks("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"), "DUTS-TE"),
    "hku-is": (image_masks("imgs", "gt"), "HKU-IS"),
    "ecssd": (image_masks("images", "ground_truth_mask"), "ECSSD"),
    "cod10k": (image_masks("Test/Image", "Test/GT_Object"), "COD10K test"),
    "camo": (image_masks("Images/Test", "GT"), "CAMO test"),
    "chameleon": (image_masks("Image", "GT"), "CHAMELEON test"),
    "nc4k": (image_masks("Imgs", "GT"), "NC4K test"),
}


def run(command: str, data: Path, out: Path, *more: str) -> tuple[dict, list[dict]]:
    """Run a benchmark with a scripted endpoint and GrabCut; return the summary and the rows as they are kept."""
    with chat_server() as server:
        server.answers = ANSWERS
        options = ["--policy", server.url, "--segmenter", "grabcut", "--data", str(data), "--out", str(out), "--json"]
        ran = CliRunner().invoke(app, [*command.split(), *options, *more])
    assert ran.exit_code == 0, ran.exception
    return json.loads(ran.stdout.splitlines()[-1]), pq.read_table(out / "rows.parquet").to_pylist()


def masks_of(rows: list[dict]) -> list[np.ndarray | None]:
    """The answered masks as they are kept; None without an answer."""
    found: list[np.ndarray | None] = []
    for row in rows:
        rles = [cut["rle"] for cut in json.loads(row["cuts"])]
        cut = coco.decode([{**rle, "counts": rle["counts"].encode()} for rle in rles]).any(axis=2) if rles else EMPTY
        found.append(None if row["error"] else cut)
    return found


def check(rows: list[dict]) -> list[np.ndarray | None]:
    """Every sample has its row: two masks, two empty ones, and two failures that are named."""
    assert [row["ending"] for row in rows] == ["found", "found", "absent", "absent", "policy_broken", "not_run"]
    assert [row["error"] for row in rows[:5]] == ["", "", "", "", "policy"]
    assert rows[5]["error"] == "media"
    assert rows[5]["score"] == 0
    cuts = masks_of(rows)
    assert (cuts[0] & TRUTH).sum() / (cuts[0] | TRUTH).sum() > 0.9
    assert 0.5 < (cuts[1] & PART).sum() / (cuts[1] | PART).sum() < 0.7
    return cuts


def values(summary: dict) -> dict[str, float]:
    return {measure["name"]: measure["value"] for measure in summary["measures"] if not measure["group"]}


@pytest.mark.parametrize("command", REFERRING)
def test_phrases(tmp_path: Path, command: str) -> None:
    write, title = REFERRING[command]
    if broken := write(tmp_path / "data"):
        broken.write_bytes(b"no picture")
    summary, rows = run(command, tmp_path / "data", tmp_path / "out")
    assert (summary["title"], summary["n"]) == (title, 6)
    both, either, ious = 0, 0, []
    for cut, truth in zip(check(rows), TRUTHS, strict=True):
        ours = EMPTY if cut is None else cut
        intersection, union = np.sum(ours & truth), np.sum(ours | truth)
        ious.append(0 if cut is None else intersection / union if union else 1)
        both, either = both + intersection, either + union
    # The truth of a picture that cannot be read is not known: its union is 0.
    expected = {
        "gIoU": np.mean(ious),
        "cIoU": both / (either - TRUTH.sum()),
        "IoU > 0.5": np.mean(np.array(ious) > 0.5),
    }
    if command == "grefcoco":
        expected |= {"N-acc": 1.0, "T-acc": 2 / 5}
    assert values(summary) == pytest.approx(expected)


@pytest.mark.parametrize("command", SALIENCY)
def test_objects_without_words(tmp_path: Path, command: str) -> None:
    write, title = SALIENCY[command]
    write(tmp_path / "data").write_bytes(b"no picture")
    summary, rows = run(command, tmp_path / "data", tmp_path / "out")
    assert (summary["title"], summary["n"]) == (title, 6)
    scores = []
    for cut, truth in zip(check(rows), TRUTHS, strict=True):
        if cut is None:
            scores.append({"S": 0, "e": np.zeros(256), "f": np.zeros(256), "adaptive F": 0, "w": 0, "MAE": 1, "IoU": 0})
            continue
        levels, either = cut * np.uint8(255), (cut | truth).sum()
        f = f_measure(levels, truth)
        scores.append(
            {
                "S": soft_structure_measure(levels, truth), "e": e_measure(levels, truth).curve, "f": f.curve,
                "adaptive F": f.adaptive, "w": weighted_f_measure(levels, truth), "MAE": (cut != truth).mean(),
                "IoU": (cut & truth).sum() / either if either else 1,
            }
        )  # fmt: skip
    mean = {name: np.mean([score[name] for score in scores], axis=0) for name in scores[0]}
    assert values(summary) == pytest.approx(
        {
            "S": mean["S"], "mean E": mean["e"].mean(), "max E": mean["e"].max(), "adaptive F": mean["adaptive F"],
            "mean F": mean["f"].mean(), "max F": mean["f"].max(), "weighted F": mean["w"], "MAE": mean["MAE"],
            "mean IoU": mean["IoU"],
        }
    )  # fmt: skip
    assert ("NonCAM" in summary["counts"]) == (command == "cod10k")
    assert {row["query"] for row in rows[:5]} == {"all primary objects"}


@pytest.mark.parametrize("split", ["recognition", "localization"])
def test_boxes(tmp_path: Path, split: str) -> None:
    # The answer is 250 to 750 both ways: right; half of what is asked for, which reaches 0.5; and less than a half.
    boxes = [[250, 250, 750, 750], [250, 250, 750, 500], [250, 250, 500, 490], [250, 250, 750, 750]]
    path = make.evi_lens(tmp_path, [(f"thing {i}", PICTURES[i], box) for i, box in enumerate(boxes)], split)
    (tmp_path / "images/searched/images/3.jpg").write_bytes(b"no picture")
    with chat_server() as server:
        server.answers = [FOUND]
        options = ["--policy", server.url, "--segmenter", "grabcut", "--data", str(path.parent.parent), "--json"]
        ran = CliRunner().invoke(app, ["evi-lens", "--split", split, *options])
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert (summary["title"], summary["errors"]) == (f"EviLens {split}", {"media": 1})
    found = {measure["name"]: (measure["value"], measure["n"]) for measure in summary["measures"]}
    assert found == {"IoU": (pytest.approx((1 + 0.5 + 0.24 + 0) / 4), 4), "R@0.5": (0.5, 4)}
    assert [one["measure"] for one in summary["published"]] == ["IoU", "R@0.5"] * 4


def test_the_first_samples_alone(tmp_path: Path) -> None:
    image_masks("images", "ground_truth_mask")(tmp_path / "data")
    summary, rows = run("ecssd", tmp_path / "data", tmp_path / "out", "--n", "2")
    assert [row["id"] for row in rows] == ["00", "01"]
    assert summary["n"] == 2


def opened(benchmark: str, data: Path, split: str = ""):
    return open_benchmark(RunSpec(benchmark=benchmark, data=str(data), split=split))


PICTURE_SETS = sorted({command.split()[0] for command in (*REFERRING, *SALIENCY)})


@pytest.mark.parametrize("name", PICTURE_SETS)
def test_a_missing_file_and_a_wrong_split_are_named(tmp_path: Path, name: str) -> None:
    assert name in NAMES
    with pytest.raises(InputError, match="is missing"):
        opened(name, tmp_path)
    write = next(write for command, (write, _) in {**REFERRING, **SALIENCY}.items() if command.split()[0] == name)
    write(tmp_path)
    with pytest.raises(InputError, match="'dev'"):
        opened(name, tmp_path, "dev")


@pytest.mark.parametrize(
    ("file", "title", "published"),
    [
        ("refcoco_testA_all", "RefCOCO testA, every expression", 6),
        ("refcoco_val", "RefCOCO val, one expression an object", 3),
        ("refcocoplus_testA", "RefCOCO+ testA, one expression an object", 6),
        ("refcocog_test_all", "RefCOCOg test, every expression", 6),
        ("grefcoco_val_all", "gRefCOCO val, every expression", 0),
        ("ReasonSeg_val", "ReasonSeg val, regions to be ignored perhaps among the true ones", 4),
        ("ReasonSeg_test", "ReasonSeg test, regions to be ignored perhaps among the true ones", 5),
    ],
)
def test_published_parquet_is_told_by_its_name(tmp_path: Path, file: str, title: str, published: int) -> None:
    seg_zero(tmp_path / file)
    name = {"ReasonSeg": "reason-seg"}.get(title.split()[0], title.split()[0].lower())
    found = opened(name, tmp_path / file)
    assert (found.title, len(found.published)) == (title, published)
    with pytest.raises(InputError, match=f"{file} is .* not "):
        opened(name, tmp_path / file, "testB")
    with pytest.raises(InputError, match=f"{file} is .* not "):
        opened("refcoco" if name != "refcoco" else "refcocog", tmp_path / file)


@pytest.mark.parametrize("name", PICTURE_SETS)
def test_published_numbers_are_shares_of_measures_that_exist(tmp_path: Path, name: str) -> None:
    write = next(write for command, (write, _) in {**REFERRING, **SALIENCY}.items() if command.split()[0] == name)
    write(tmp_path)
    split = {"refcoco+": "testA", "refcocog": "test"}.get(name, "")
    for one in opened(name, tmp_path, split).published:
        assert 0 < one.value < 1
        assert one.source
        assert one.caveat
        assert one.measure in ("gIoU", "cIoU", "S", "MAE", "E", "F")
