"""The comparison with TRL's tool loop compares like with like; how fast either is, no test says."""

import pytest

pytest.importorskip("trl", reason="needs the extra train")

from evals.speed.tool_loop import SEARCHES, measure
from tools.errors import InputError

pytestmark = pytest.mark.slow

EPISODES, DELAY = 2, 0.01


@pytest.fixture(scope="module")
def report():
    return measure(EPISODES, DELAY)


def test_all_loops_make_the_same_tool_calls_and_turns(report):
    for loop in report["loops"].values():
        assert loop["tool_calls"] == SEARCHES * EPISODES
        assert loop["turns"] == (SEARCHES + 1) * EPISODES
        assert loop["seconds_asleep"] == pytest.approx(SEARCHES * EPISODES * DELAY)


def test_the_report_says_what_was_measured(report):
    assert set(report["loops"]) == {"graph", "trl_sync", "trl_async"}
    assert (report["episodes"], report["delay"], report["calls_per_episode"]) == (EPISODES, DELAY, SEARCHES)
    assert report["concurrent_seconds_asleep"] == pytest.approx(SEARCHES * DELAY)
    fields = {"seconds", "seconds_without_delay", "tool_calls", "turns", "seconds_asleep"}
    assert all(set(loop) == fields for loop in report["loops"].values())


@pytest.mark.parametrize(("episodes", "delay"), [(1, 0.1), (2, -1.0)])
def test_nothing_to_compare_is_refused(episodes, delay):
    with pytest.raises(InputError, match="compare"):
        measure(episodes, delay)
