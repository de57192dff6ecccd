"""Benchmarks of the second graph: the truth scores one, a constant what one works out by hand, a failure nothing."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from clip_checkpoint import save_clip
from labelled_fixtures import SIZE, a_150, a_847, camvid, panoptic, pas_20, pc_59, pc_459
from oracle_labeller import play, with_context, with_oracle
from typer.testing import CliRunner
from vocabulary_stubs import SCRIPT, VOCABULARY, Script, context, picture

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Row, row_from_plain
from evals.benchmarks.published_miou import published_miou
from evals.benchmarks.scorers.semantic import SemanticScorer
from evals.benchmarks.vocabulary import VocabularyBenchmark
from evals.benchmarks.ways import choose_ways
from evals.cli import app
from evals.datasets.labelled import LabelledPicture
from evals.runs.evaluation import EvaluationWork
from evals.runs.spec import RunSpec
from graphs.openvocab import Settings, Vocabulary
from graphs.openvocab.fusion import LabelMap, PresencePrior
from tools.errors import EvaluationError, InputError, SegmenterError
from tools.segmenters import EMBEDDED

SETS = {"a-150": a_150, "a-847": a_847, "pc-59": pc_59, "pc-459": pc_459, "pas-20": pas_20, "camvid": camvid}


def spec_of(name: str, data: Path, **more: object) -> RunSpec:
    classes = str(data / "847.txt") if name == "a-847" else None
    return RunSpec(benchmark=name, data=str(data), classes=classes, reasoning="off", **more)  # type: ignore[arg-type]


def values(benchmark: VocabularyBenchmark[LabelMap], rows: list[Row]) -> dict[str, float]:
    """Measures by name, from rows as they come back from disk."""
    kept = [row_from_plain(json.loads(json.dumps(row.to_plain()))) for row in rows]
    return {f"{m.name} {m.group}".strip(): m.value for m in benchmark.measure(kept)}


@pytest.mark.parametrize("name", SETS)
async def test_the_truth_scores_one_and_a_constant_what_is_worked_out(tmp_path: Path, name: str) -> None:
    spec = spec_of(name, SETS[name](tmp_path))
    benchmark = open_benchmark(spec)
    oracle = with_oracle(benchmark)
    rows = await play(oracle, spec)
    found = values(oracle, rows)
    assert [(row.id, row.error, row.score, row.frame) for row in rows] == [("a", "", 1.0, 0), ("b", "", 1.0, 0)]
    names = ["mIoU", "mIoU, true or predicted classes", "pixel accuracy", "class accuracy"]
    assert [found[measure] for measure in names] == [1.0] * 4
    classes = len(oracle.dataset.vocabulary)
    assert found["mIoU, all classes"] == pytest.approx(4 / classes)
    # True pixels: 96, 96, 64 and 48; all 304 are called class 1.
    constant = with_oracle(benchmark, constant=1)
    rows = await play(constant, spec)
    assert [row.score for row in rows] == pytest.approx([48 / 160 / 3, 48 / 144 / 3])
    assert rows[0].details["counts"] == {"": {"0": [0, 96, 0], "1": [48, 48, 160], "2": [0, 16, 0]}}
    found = values(constant, rows)
    assert found["mIoU"] == found["mIoU, true or predicted classes"] == pytest.approx(96 / 304 / 4)
    assert found["mIoU, all classes"] == pytest.approx(96 / 304 / classes)
    assert (found["pixel accuracy"], found["class accuracy"]) == (pytest.approx(96 / 304), 0.25)


def test_each_divisor_has_its_measure() -> None:
    """Of five classes one is right, one missed, one predicted though it is nowhere, and two do not occur."""
    counts = {"": {"0": [4, 4, 4], "1": [0, 4, 0], "2": [0, 0, 4]}}
    scorer = SemanticScorer(Vocabulary.of(["a", "b", "c", "d", "e"]), "none")
    found = {one.name: one.value for one in scorer.measure([Row(index=0, id="a", details={"counts": counts})])}
    assert (found["mIoU"], found["mIoU, all classes"], found["class accuracy"]) == (0.5, 0.2, 0.5)
    assert found["mIoU, true or predicted classes"] == pytest.approx(1 / 3)


async def test_panoptic_truth_scores_one_and_a_constant_what_is_worked_out(tmp_path: Path) -> None:
    panoptic(tmp_path)
    spec = RunSpec(benchmark="ade-panoptic", data=str(tmp_path), reasoning="off")
    benchmark = open_benchmark(spec)
    oracle = with_oracle(benchmark)
    rows = await play(oracle, spec)
    assert set(values(oracle, rows).values()) == {1.0}
    assert [cut.label for cut in rows[0].cuts] == ["wall", "cat", "cat"]
    found = values(oracle, await play(with_oracle(benchmark, constant=1), spec))
    # Of five cats two are cats; two walls and a ball are missed, the crowd and the hidden sky are not.
    assert found["PQ"] == pytest.approx(2 / 3.5 / 3)
    assert (found["PQ things"], found["PQ stuff"]) == (pytest.approx(2 / 3.5 / 2), 0.0)
    assert (found["SQ"], found["RQ"]) == (pytest.approx(1 / 3), pytest.approx(2 / 3.5 / 3))
    assert [one.measure for one in benchmark.published] == ["PQ", "SQ", "RQ"]


@dataclass(frozen=True)
class Broken:
    """A labeller of which a part fails: in its own words, or by a fault of ours."""

    error: Exception
    name = "broken"
    scale = 1.0

    def segment(self, image: object, prompts: object) -> list[object]:
        raise self.error

    def encode_masks(self, image: object, masks: object) -> list[object]:
        raise self.error


@pytest.mark.parametrize(
    ("part", "error", "told"),
    [
        ("segmenter", SegmenterError("no memory.", remedy="Buy some."), ("segmenter", "segmenter_broken", 0)),
        ("encoder", ZeroDivisionError(), ("evaluation", "not_run", None)),
    ],
)
async def test_a_failure_is_every_pixel_wrong(
    tmp_path: Path, part: str, error: Exception, told: tuple[str, str, int | None]
) -> None:
    spec = spec_of("pas-20", pas_20(tmp_path))
    benchmark = with_oracle(open_benchmark(spec))
    rows = await play(benchmark, spec)
    made = await benchmark.make_context(spec, benchmark.dataset.vocabulary)
    rest = {"rows": made.rows} if part == "encoder" else {}
    failing = with_context(benchmark, replace(made, **{part: Broken(error)}, **rest))
    broken = (await play(failing, spec))[1]
    assert (broken.error, broken.ending, broken.frame) == told
    assert (broken.score, broken.cuts) == (0.0, ())
    # Class by class: 96 of 96, 48 of 96, 16 of 64, none of 48.
    assert values(benchmark, [rows[0], broken])["mIoU"] == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)


async def test_a_picture_that_ended_its_workers_is_every_pixel_wrong(tmp_path: Path) -> None:
    spec = spec_of("pas-20", pas_20(tmp_path))
    benchmark = with_oracle(open_benchmark(spec))
    first = (await play(benchmark, spec))[0]
    ended = row_from_plain(EvaluationWork(spec).failed(1, EvaluationError("it ended 3 workers.", remedy="Look at it.")))
    assert (ended.id, ended.error, ended.score) == ("b", "evaluation", 0.0)
    assert values(benchmark, [first, ended])["mIoU"] == pytest.approx((1 + 0.5 + 0.25 + 0) / 4)


async def test_what_cannot_be_read_is_a_failure(tmp_path: Path) -> None:
    spec = spec_of("pas-20", pas_20(tmp_path))
    benchmark = with_oracle(open_benchmark(spec))
    rows = await play(benchmark, spec)
    root = tmp_path / "VOCdevkit/VOC2012"
    (root / "JPEGImages/b.jpg").write_bytes(b"no picture")
    unseen = (await play(benchmark, spec))[1]
    assert (unseen.error, unseen.ending, unseen.score, unseen.frame) == ("media", "not_run", 0.0, None)
    assert unseen.details["counts"] == {"": {str(place): [0, 48, 0] for place in (1, 2, 3)}}
    PIL.Image.fromarray(np.zeros(SIZE, np.uint8)).save(root / "SegmentationClass/b.png")
    assert (await play(benchmark, spec))[1].score == 0.0  # nothing counts in it, and yet it failed
    (root / "SegmentationClass/b.png").write_bytes(b"no picture")
    untold = (await play(benchmark, spec))[1]
    assert (untold.error, untold.score, dict(untold.scores)) == ("media", 0.0, {"miou": 0.0, "pixel_accuracy": 0.0})
    found = benchmark.measure([rows[0], untold])
    assert (found[0].value, found[0].n) == (1.0, 2)
    assert [(m.name, m.value) for m in benchmark.measure([untold])] == [("mIoU", 0.0)]
    shown = benchmark.picture(rows[0])
    assert [int(mask.sum()) for mask in shown.truth] == [96, 48, 16]


class ToyPicture:
    """The toy world's picture with its truth: a red block (apple), a blue one (bicycle), and the wall."""

    vocabulary = VOCABULARY

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int, /) -> LabelledPicture[LabelMap]:
        truth = np.full((40, 60), 2, np.int32)
        truth[10:30, 5:25], truth[10:30, 35:55] = 0, 1
        return LabelledPicture("toy", (40, 60), truth, picture)


@pytest.mark.parametrize(("nothing", "boxes"), [(-1, (1 + 0 + 0) / 3), (2, (1 + 0 + 1600 / 2000) / 3)])
@pytest.mark.parametrize(("weight", "own"), [(0.1, 1.0), (100.0, (400 / 800 + 0 + 1) / 3)])
async def test_the_ways_are_labelled_from_one_run(weight: float, own: float, nothing: int, boxes: float) -> None:
    """Reasoning misses the bicycle: gating, or a heavy prior, gives its block to the apple; no box is asked for it."""
    spec = RunSpec(benchmark="toy", boxes=True)
    policy = Script(
        **SCRIPT | {"shortlist": '["apple", "wall"]', "reason": '[{"class": "apple", "attributes": ["red skin"]}]'},
        locate=['{"boxes": [[83, 250, 417, 750]]}', '{"boxes": []}'],
    )
    settings = Settings(prior=PresencePrior(weight=weight))
    benchmark = VocabularyBenchmark(
        name="toy",
        title="toy",
        dataset=ToyPicture(),
        scorer=SemanticScorer(VOCABULARY, "none", nothing),
        ways=choose_ways(spec),
    )
    benchmark = with_context(benchmark, context(policy, settings=settings))
    rows = await play(benchmark, spec)
    found = values(benchmark, rows)
    assert (found["mIoU"], found["mIoU, no prior"]) == (pytest.approx(own), 1.0)
    assert found["mIoU, hard gating"] == pytest.approx((400 / 800 + 0 + 1) / 3)
    assert found["mIoU, policy's boxes"] == pytest.approx(boxes)
    assert (found["listing recall"], found["listing precision"]) == (pytest.approx(2 / 3), 1.0)
    assert (rows[0].turns, rows[0].said[1], rows[0].details["present"]) == (3, '["apple", "wall"]', ["apple", "wall"])
    again = with_context(benchmark, context(Script(**SCRIPT), settings=settings))
    broken = (await play(again, spec))[0]
    assert (broken.error, broken.message, broken.score) == ("policy", "there is no reply to locate.", 1.0)
    assert values(again, [broken])["mIoU, policy's boxes"] == 0.0


def test_what_cannot_be_run_is_told_at_once(tmp_path: Path) -> None:
    data = pas_20(tmp_path)
    told = [
        ({"split": "train"}, "no split 'train'"),
        ({"boxes": True}, "boxes are the policy's"),
        ({"n": 0}, "0 samples"),
        ({"benchmark": "ade-panoptic", "classes": "x"}, "are in its JSON file"),
        ({"benchmark": "emblems-semantic", "profile": "qwen2.5-vl", "kb": "x"}, "no use for --profile, --kb"),
        ({"benchmark": "emblems", "boxes": True, "reasoning": "off"}, "no use for --no-reasoning, --boxes"),
        ({"benchmark": "emblems-semantic", "clip": "x"}, "Leave out --clip and --classes"),
        ({"benchmark": "emblems-semantic", "n": 0}, "0 frames of seed 0"),
        ({"benchmark": "a-150"}, r"objectInfo150.txt cannot be read"),
    ]
    for changes, message in told:
        with pytest.raises(InputError, match=message):
            open_benchmark(replace(spec_of("pas-20", data), **changes))  # type: ignore[arg-type]


async def test_what_labels_must_be_named(tmp_path: Path) -> None:
    spec = spec_of("pas-20", pas_20(tmp_path))
    with pytest.raises(InputError, match="Name a CLIP or SigLIP"):
        await open_benchmark(spec).prepare(spec)
    embedded = replace(spec, clip="x", reasoning="on")
    with pytest.raises(InputError, match="knows Emblems"):
        await open_benchmark(embedded).prepare(embedded)
    emblems = RunSpec(benchmark="emblems-semantic", reasoning="off", segmenter="grabcut")
    with pytest.raises(InputError, match="--segmenter sam2"):
        await open_benchmark(emblems).prepare(emblems)


def test_published_numbers_name_the_measure_that_they_compare_with() -> None:
    assert published_miou("camvid") == []
    assert {len(published_miou(name)) for name in SETS if name != "camvid"} == {10}
    found = {one.system: (one.measure, one.value) for one in published_miou("pc-459")}
    assert found["MAFT+ (B)"] == ("mIoU", 0.162)
    assert found["OpenSeg-R with MAFT+ (B)"] == ("mIoU, true or predicted classes", 0.155)


@pytest.mark.slow
@pytest.mark.skipif(not (EMBEDDED / "config.json").is_file(), reason="no shipped weights")
def test_the_command_runs_any_clip_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    data, clip, out = pas_20(tmp_path / "data"), save_clip(tmp_path / "clip"), tmp_path / "out"
    options = ["--data", str(data), "--no-reasoning", "--clip", str(clip), "--out", str(out), "--json"]

    def run() -> dict[str, object]:
        ran = CliRunner().invoke(app, ["pas-20", *options], catch_exceptions=False)
        return json.loads(ran.stdout.splitlines()[-1])  # type: ignore[no-any-return]

    whole = run()
    lines = (out / "rows.jsonl").read_text().splitlines(keepends=True)
    (out / "rows.jsonl").write_text("".join(lines[:2]) + lines[2][:50])
    again = run()
    assert (whole["done"], again["done"], again["n"]) == (2, 1, 2)
    assert again["measures"] == whole["measures"]
    rows = [json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines()[1:]]
    assert [row["error"] for row in rows] == ["", ""]
    # Whatever it is called, every pixel has a class.
    assert [sum(c[2] for c in row["details"]["counts"][""].values()) for row in rows] == [160, 144]
