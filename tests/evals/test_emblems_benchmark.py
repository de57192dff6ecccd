"""Emblems through the whole graph: the oracle's ceiling, every kind of failure, the summary and the command."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from evals.cli import app
from evals.emblems.benchmark import ContextOf, benchmark_world, make_tasks, run_task
from evals.emblems.clips import Clip, Mover
from evals.emblems.exact import ExactSegmenter, oracle_policy
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.scoring import EpisodeRecord
from evals.emblems.sprites import Emblem
from evals.emblems.summary import summarise
from evals.emblems.tasks import ABILITIES, EmblemTask
from graphs.context import Context
from graphs.dialects.seg_research import absent_turn, answer_turn, keyframe_turn
from graphs.endings import Ending
from graphs.policies.base import Policy
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import get_profile
from tools.errors import SegmenterError
from tools.search.base import SearchProvider
from tools.segmenters.base import Segmenter

SEED = 77


def context(policy: Policy, segmenter: Segmenter | None, search: SearchProvider | None = None) -> Context:
    profile = get_profile("embedded")
    return Context(
        policy=policy, dialect=profile.make_dialect(), segmenter=segmenter, search=search, budget=profile.budget
    )


def perfect(search: EmblemSearch | None) -> ContextOf:
    world = benchmark_world("test", SEED)

    def own(task: EmblemTask) -> Context:
        policy = oracle_policy(task, world, frames=4, search=search is not None)
        return context(policy, ExactSegmenter(task.clip), search)

    return own


def run(own: Context | ContextOf, tasks: list[EmblemTask]) -> list[EpisodeRecord]:
    async def one_by_one() -> list[EpisodeRecord]:
        return [(await run_task(task, own))[0] for task in tasks]

    return asyncio.run(one_by_one())


def scripted(*turns: str) -> ContextOf:
    return lambda task: context(ReplayPolicy(turns), ExactSegmenter(task.clip))


@pytest.fixture(scope="module")
def search() -> EmblemSearch:
    return EmblemSearch(benchmark_world("test", SEED))


def test_the_oracle_with_exact_masks_reaches_the_ceiling(search: EmblemSearch) -> None:
    tasks = make_tasks("test", SEED, 100)
    records = run(perfect(search), tasks)
    assert [record.task_id for record in records] == [task.task_id for task in tasks]
    summary = summarise(records, split="test", seed=SEED, search=True)
    assert summary["success"] >= 0.98
    assert summary["miou"] >= 0.98
    assert summary["j_and_f"] >= 0.97
    assert all(summary["by_ability"][ability]["n"] == 20 for ability in ABILITIES)
    assert {record.ending for record in records} <= {Ending.FOUND, Ending.ABSENT, Ending.POLICY_BROKEN}
    assert all(record.searches >= (record.ability in ("one-hop", "multi-hop", "relational")) for record in records)
    assert all(record.box_iou > 0.9 for record in records if record.success)


def test_without_search_the_oracle_can_only_guess() -> None:
    tasks = [t for t in make_tasks("test", SEED, 250) if t.ability in ("one-hop", "multi-hop")]
    summary = summarise(run(perfect(None), tasks), split="test", seed=SEED, search=False)
    assert summary["searches_per_episode"] == 0
    assert summary["success"] == pytest.approx(summary["guess"], abs=0.12)
    assert 0.16 < summary["guess"] < 0.26


def test_wrong_absent_and_wrong_found_are_failures() -> None:
    present, _, _, _, absent = make_tasks("test", SEED, 5)
    says_absent = scripted(absent_turn("No."))
    answers = scripted(keyframe_turn("", 5), answer_turn("", (0.0, 0.0, 1.0, 1.0), (0.5, 0.5)))
    missed, right = run(says_absent, [present, absent])
    assert (missed.success, missed.iou, missed.ending) == (False, 0.0, Ending.ABSENT)
    assert (missed.present, missed.j, missed.f) == (True, 0.0, 0.0)
    assert (right.success, right.iou, right.j, right.f, right.guess) == (True, 1.0, 1.0, 1.0, 0.0)
    (invented,) = run(answers, [absent])
    assert (invented.success, invented.iou, invented.box_iou, invented.ending) == (False, 0.0, 0.0, Ending.FOUND)
    assert invented.keyframe == 5
    assert invented.j_and_f < 0.2
    assert invented.boxes == ((0.0, 0.0, 448.0, 448.0),)


def test_a_wrong_absent_earns_nothing_for_frames_in_which_the_target_is_hidden() -> None:
    task = make_tasks("test", SEED, 1)[0]
    below = Mover(Emblem("ring", "red", "plain"), 60, (100.0, 100.0), (0.0, 0.0), 0.0, 0.0)
    above = Mover(Emblem("square", "blue", "plain"), 160, (100.0, 100.0), (12.0, 0.0), 0.0, 0.0)
    task = replace(task, clip=Clip((below, above), 0), target=0)
    assert not task.clip.mask(0, 0).any()
    assert task.clip.mask(15, 0).any()
    (missed,) = run(scripted(absent_turn("No.")), [task])
    assert (missed.success, missed.iou, missed.j, missed.f) == (False, 0.0, 0.0, 0.0)


def test_masks_are_judged_where_there_is_a_target() -> None:
    present, _, _, _, absent = make_tasks("test", SEED, 5)
    records = run(scripted(absent_turn("No.")), [present, absent])
    summary = summarise(records, split="test", seed=SEED, search=False)
    assert (summary["miou"], summary["j_and_f"]) == (0.5, 0.5)
    assert (summary["miou_present"], summary["j_and_f_present"]) == (0.0, 0.0)
    summary = summarise(records[1:], split="test", seed=SEED, search=False)
    assert (summary["miou"], summary["miou_present"], summary["j_and_f_present"]) == (1.0, None, None)


def test_whatever_breaks_is_counted_and_scores_nothing() -> None:
    class Broken(ExactSegmenter):
        def propagate(self, *_: object) -> Iterator:  # type: ignore[override, type-arg]
            raise SegmenterError("out of memory.", remedy="Buy some.")

    tasks = make_tasks("test", SEED, 5)
    for own, ending in (
        (scripted(), Ending.POLICY_BROKEN),
        (scripted("gibberish", "gibberish", "gibberish"), Ending.MALFORMED),
        (lambda task: replace(perfect(None)(task), segmenter=Broken(task.clip)), Ending.SEGMENTER_BROKEN),
    ):
        records = run(own, tasks[:4])
        for record in records:
            assert (record.ending, record.success, record.iou, record.j, record.f) == (ending, False, 0.0, 0.0, 0.0)
    # Nothing found is not "absent" if it comes from a failure.
    (record,) = run(scripted("gibberish", "gibberish", "gibberish"), tasks[4:])
    assert (record.success, record.j_and_f) == (False, 0.0)


def test_the_wrong_object_fails_and_the_exact_segmenter_cuts_what_the_box_means() -> None:
    (task,) = make_tasks("test", SEED, 1)
    assert task.target is not None
    wrong = (task.target + 1) % len(task.clip.movers)

    def own(task: EmblemTask) -> Context:
        from evals.emblems.oracle import box_of, inner_point

        mask = task.clip.mask(0, wrong)
        turns = keyframe_turn("", 0), answer_turn("", box_of(mask), inner_point(mask))
        return context(ReplayPolicy(turns), ExactSegmenter(task.clip))

    (record,) = run(own, [task])
    assert not record.success
    assert record.iou == 0


def test_tasks_hold_no_pixels_after_a_run(search: EmblemSearch) -> None:
    tasks = make_tasks("test", SEED, 4)
    run(perfect(search), tasks)
    assert not any(task.clip._rendered for task in tasks)


def test_the_summary_is_the_contract(search: EmblemSearch) -> None:
    records = run(perfect(search), make_tasks("test", SEED, 10))
    records[0] = replace(records[0], success=False, iou=0.25, seconds=9.0)
    summary = json.loads(json.dumps(summarise(records, split="test", seed=SEED, search=True)))
    assert {"n", "success", "miou", "j_and_f", "by_ability", "searches_per_episode", "seconds_per_episode"} <= set(
        summary
    )
    assert (summary["n"], summary["success"]) == (10, 0.9)
    assert summary["miou"] == pytest.approx(np.mean([r.iou for r in records]), abs=1e-4)
    assert summary["by_ability"]["in-video"]["success"] == 0.5
    low, high = summary["by_ability"]["in-video"]["ci95"]
    assert low < 0.1 < 0.9 < high
    assert summary["median_seconds"] < summary["seconds_per_episode"]
    assert set(summary["by_ability"]) == set(ABILITIES)


def test_the_command(tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--policy", "oracle", "--segmenter", "exact", "--n", "10", "--seed", "5", "--json", "--out", str(out)]
    result = CliRunner().invoke(app, ["emblems", *options])
    assert result.exit_code == 0, result.output
    summary = json.loads(result.stdout.strip().splitlines()[-1])
    assert (summary["n"], summary["seed"], summary["success"]) == (10, 5, 1.0)
    header, *rows = (json.loads(line) for line in (out / "rows.jsonl").read_text().splitlines())
    assert (header["samples"], len(rows)) == (10, 10)
    assert all(row["said"][-1].startswith("<thinking>") for row in rows)
    assert set(rows[0]["details"]) == set(asdict(run(perfect(None), make_tasks("test", SEED, 1))[0]))
    table = CliRunner().invoke(app, ["emblems", *options[:-3], "--no-search"])
    assert table.exit_code == 0
    assert "multi-hop" in table.stdout
    assert "where there is a target, mIoU" in " ".join(table.stdout.split())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "dev"], "no Emblems split"),
        (["--n", "0"], "0 tasks"),
        (["--policy", "gpt"], "no policy 'gpt'"),
        (["--profile", "nobody"], "no profile"),
        (["--policy", "oracle", "--segmenter", "scissors"], "no segmenter"),
        (["--policy", "oracle", "--segmenter", "exact", "--out", "/proc/nowhere"], "cannot be written"),
        (["--policy", "http://127.0.0.1:9/v1"], "127.0.0.1:9"),
        (["--policy", ".", "--model", "x"], "no endpoint"),
    ],
)
def test_bad_options_are_one_clear_error(options: list[str], message: str) -> None:
    result = CliRunner().invoke(app, ["emblems", "--n", "2", *options])
    assert result.exit_code != 0
    assert message in str(result.exception)
    assert result.stdout == ""
