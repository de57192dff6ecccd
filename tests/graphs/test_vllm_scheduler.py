"""CadencedScheduler: prompts are let in so many steps apart (tried on a stand-in for vLLM's own, which is not here)."""

import importlib
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

MODULE = "graphs.policies.vllm_scheduler"


class Scheduler:
    """Lets in all that wait, but held as vLLM's: only while others are decoded. A turn takes `LENGTH` steps."""

    LENGTH = 6

    def __init__(self, scheduler_config: Any) -> None:
        self.scheduler_config = scheduler_config
        self.waiting = 0
        self.running: list[int] = []
        self.held = list[bool]()

    def schedule(self, throttle_prefills: bool = False) -> SimpleNamespace:
        self.held.append(throttle_prefills)
        new = 0 if throttle_prefills and self.running else self.waiting
        self.waiting -= new
        self.running = [left - 1 for left in [*self.running, *[self.LENGTH] * new] if left]
        return SimpleNamespace(scheduled_new_reqs=["a request"] * new, total_num_scheduled_tokens=len(self.running))


@pytest.fixture
def cadenced(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ["vllm", "v1", "core", "sched", "scheduler"]
    for depth in range(1, len(names) + 1):
        monkeypatch.setitem(sys.modules, ".".join(names[:depth]), ModuleType(names[depth - 1]))
    sys.modules[".".join(names)].Scheduler = Scheduler  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, MODULE, raising=False)
    made = importlib.import_module(MODULE).CadencedScheduler
    yield lambda interval: made(SimpleNamespace(prefill_schedule_interval=interval))
    del sys.modules[MODULE]


def let_in(scheduler: Any, arrivals: list[int]) -> list[int]:
    """How many are let in at each step, where so many arrive before it."""
    counts = list[int]()
    for arrived in arrivals:
        scheduler.waiting += arrived
        counts.append(len(scheduler.schedule().scheduled_new_reqs))
    return counts


@pytest.mark.parametrize("interval", [2, 3, 5])
def test_those_who_come_at_every_step_are_let_in_together_an_interval_apart(cadenced: Any, interval: int) -> None:
    assert let_in(cadenced(interval), [1] * (2 * interval + 1)) == [1, *[*[0] * (interval - 1), interval] * 2]


def test_an_interval_of_one_holds_nobody(cadenced: Any) -> None:
    scheduler = cadenced(1)
    assert let_in(scheduler, [1] * 5) == [1] * 5
    assert not any(scheduler.held)


def test_one_who_comes_long_after_the_last_is_let_in_at_once(cadenced: Any) -> None:
    assert let_in(cadenced(4), [1, 0, 0, 0, 1, 1]) == [1, 0, 0, 0, 1, 0]


def test_a_server_at_rest_lets_in_at_once(cadenced: Any) -> None:
    """Nothing is decoded after a turn's six steps, and steps without work do not count."""
    scheduler = cadenced(12)
    assert let_in(scheduler, [1, *[0] * 9]) == [1, *[0] * 9]
    assert scheduler.held[6:] == [True] * 4, "it held, and would have let nobody wait for all that"
    assert let_in(scheduler, [1, 1]) == [1, 0]


def test_steps_without_work_are_none(cadenced: Any) -> None:
    scheduler = cadenced(8)
    let_in(scheduler, [1, *[0] * 20])
    assert scheduler.held.count(True) == 20, "five steps went on decoding, too few for eight"


def test_the_engines_own_throttle_holds_too(cadenced: Any) -> None:
    scheduler = cadenced(1)
    let_in(scheduler, [1])
    scheduler.waiting = 1
    assert scheduler.schedule(True).scheduled_new_reqs == []
