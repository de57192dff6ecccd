"""What the report is made of: outlines, cases, charts, the comparison, and the same table in a terminal."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_stubs import play, spec_of, sum_up, write_data
from rich.console import Console

from evals.benchmarks import open_benchmark
from evals.benchmarks.base import Cut, Measure, Published, Row
from evals.display import tables
from evals.report.cases import choose_cases
from evals.report.charts import draw_histogram, draw_intervals
from evals.report.comparison import compare
from evals.report.pictures import ANSWERED, TRUE, draw_case

GREY = np.full((100, 160, 3), 128, np.uint8)


def square(left: int) -> np.ndarray:
    mask = np.zeros((100, 160), np.bool_)
    mask[20:80, left : left + 60] = True
    return mask


def share(drawn: np.ndarray, colour: tuple[int, int, int], row: int, columns: slice) -> float:
    """The share of a row's pixels in which a colour is nearer than grey, black and the other colour."""
    pixels = drawn[row, columns].astype(int)
    away = np.stack([np.abs(pixels - np.array(other)).sum(axis=1) for other in (colour, (128,) * 3, (0,) * 3)])
    return float((away.argmin(axis=0) == 0).mean())


def test_the_answer_is_a_whole_line_and_the_truth_a_dashed_one_where_the_masks_end() -> None:
    drawn = draw_case(GREY, [square(10)], [square(90)])
    assert drawn.shape == (200, 320, 3)  # twice as large, so the masks end at rows 40 and 160
    for row in (41, 159):
        assert share(drawn, ANSWERED, row, slice(24, 136)) > 0.95
        assert 0.3 < share(drawn, TRUE, row, slice(184, 296)) < 0.7
    for row in (20, 100, 180):
        assert (drawn[row, 30:130] == 128).all()
        assert (drawn[row, 190:290] == 128).all()
    assert (GREY == 128).all()


def test_where_both_run_together_both_are_seen() -> None:
    drawn = draw_case(GREY, [square(50)], [square(50)])
    assert share(drawn, ANSWERED, 41, slice(104, 216)) > 0.2
    assert share(drawn, TRUE, 41, slice(104, 216)) > 0.2


def test_large_pictures_become_small_and_masks_of_another_size_are_refused() -> None:
    assert draw_case(np.zeros((3000, 1500, 3), np.uint8), [np.ones((3000, 1500), np.bool_)], []).shape == (480, 240, 3)
    assert draw_case(np.zeros((1, 2000, 3), np.uint8), [], [np.ones((1, 2000), np.bool_)]).shape == (1, 480, 3)
    with pytest.raises(ValueError, match="160x100"):
        draw_case(GREY, [np.ones((100, 100), np.bool_)], [])


ROWS = st.lists(
    st.builds(
        dict,
        score=st.sampled_from([0.0, 0.3, 0.7, 1.0]) | st.floats(0, 1),
        error=st.sampled_from(["", "", "policy"]),
        cuts=st.sampled_from([(), (Cut("", {"size": [1, 1], "counts": "01"}),)]),
    ),
    min_size=1,
    max_size=40,
).map(lambda many: [Row(index=number, id=str(number), **one) for number, one in enumerate(many)])


@given(ROWS)
def test_cases_are_the_worst_and_the_best_and_none_twice(rows: list[Row]) -> None:
    chosen = [[case.row for case in choice.cases] for choice in choose_cases(rows, None)]
    every = [row.index for some in chosen for row in some]
    assert len(every) == len(set(every)) <= 18
    assert len(every) >= min(len(rows), 16)
    rest = [row for row in rows if row.index not in every]
    assert all(row.score >= chosen[0][-1].score for row in rest)
    if len(chosen) > 1:
        best, others = chosen[-1], [*rest, *(chosen[1] if len(chosen) > 2 else [])]
        assert all(row.cuts for row in best) or not any(row.cuts for row in others)
        assert all(row.score <= best[-1].score for row in others if row.cuts)


@given(ROWS)
def test_the_histogram_counts_every_row_once(rows: list[Row]) -> None:
    bars = draw_histogram(rows)
    assert [bar.low for bar in bars] == [place / 10 for place in range(10)]
    assert sum(bar.failed for bar in bars) == sum(bool(row.error) for row in rows)
    for bar in bars:
        inside = [row for row in rows if bar.low <= row.score < bar.high or (row.score == 1 == bar.high)]
        assert abs(bar.answered + bar.failed - len(inside)) <= sum(row.score * 10 % 1 in (0, 1) for row in rows)
    assert max(bar.answered_height + bar.failed_height for bar in bars) == pytest.approx(100, abs=0.02)


SCORE = st.floats(0, 1)


@given(st.lists(st.tuples(SCORE, SCORE, SCORE).map(sorted), min_size=1, max_size=5), st.lists(SCORE, max_size=3))
def test_every_mark_and_interval_lies_on_the_axis(ours: list[list[float]], theirs: list[float]) -> None:
    measures = [Measure(f"m{place}", value, 9, (low, high)) for place, (low, value, high) in enumerate(ours)]
    published = [Published(f"s{place}", "", "m0", value, "paper") for place, value in enumerate(theirs)]
    drawn = draw_intervals(compare(measures, published))
    assert [column.name for column, _ in drawn.measures] == [measure.name for measure in measures]
    assert len(drawn.measures[0][1]) == 1 + len(theirs)
    for value in [*theirs, *(value for three in ours for value in three)]:
        assert 0 <= drawn.axis.at(value) <= 100
    low, high = drawn.axis.ticks[0], drawn.axis.ticks[-1]
    assert high - low + 1e-9 >= 0.2
    assert drawn.axis.at(low) == 0
    assert drawn.axis.at(low + 0.1) > 9.9


def test_errors_are_marked_as_better_the_lower_they_are_and_notes_come_once() -> None:
    measures = [Measure("S", 0.8, 5), Measure("MAE", 0.04, 5, higher_is_better=False)]
    published = [Published("A", "", "MAE", 0.03, "paper", "other split"), Published("B", "", "S", 0.9, "paper")]
    comparison = compare(measures, [*published, Published("A", "", "S", 0.85, "paper", "other split")])
    assert [(column.name, column.higher_is_better) for column in comparison.columns] == [("S", True), ("MAE", False)]
    assert comparison.notes == ("paper: other split", "paper")
    told = [[None if cell is None else (cell.value, cell.note) for cell in line.cells] for line in comparison.lines]
    assert told == [[(0.8, None), (0.04, None)], [(0.85, 1), (0.03, 1)], [(0.9, 2), None]]


def test_the_picture_of_intervals_has_all_groups_of_the_leading_measure_only() -> None:
    ours = [Measure("J&F", 0.5, 5), Measure("J", 0.4, 5)]
    grouped = [Measure(name, 0.3, 2, group="one-hop") for name in ("J&F", "J", "F")]
    drawn = draw_intervals(compare([*ours, *grouped], [Published("A", "", "J", 0.6, "paper")]))
    shown = [(column.name, [strip.line.label for strip in strips]) for column, strips in drawn.measures]
    assert shown == [("J&F", ["", "one-hop"]), ("J", ["", "A"])]
    undefined = draw_intervals(compare([Measure("PQ", float("nan"), 5)], []))
    assert (undefined.measures, undefined.axis.ticks[0], undefined.axis.ticks[-1]) == ((), 0, 1)


def test_a_terminal_of_80_columns_shows_every_number_on_one_line(tmp_path) -> None:
    spec = spec_of(write_data(tmp_path))
    benchmark = open_benchmark(spec)
    summary = sum_up(spec, benchmark, play(benchmark))
    told = io.StringIO()
    Console(file=told, width=80).print(*tables(summary), sep="\n")
    lines = [[cell.strip() for cell in line.split("│")[1:-1]] for line in told.getvalue().splitlines() if "│" in line]
    assert len(lines) == len(summary.measures) + len(summary.published)
    for one in summary.published:
        number = (
            list(dict.fromkeys((p.source, p.caveat) for p in summary.published)).index((one.source, one.caveat)) + 1
        )
        assert any(line[1] == f"{one.system} [{number}]" and line[3] == f"{one.value:.3f}" for line in lines)
        assert f"[{number}] {one.source}" in told.getvalue()
    for measure in summary.measures:
        low, high = measure.ci95
        numbers = [str(measure.n), f"{measure.value:.3f}", f"{low:.3f} to {high:.3f}"]
        assert any(line[1:] == [measure.group or "this run", *numbers] for line in lines)
    assert "without an answer: 1 policy, 1 media, 1 malformed" in told.getvalue()
