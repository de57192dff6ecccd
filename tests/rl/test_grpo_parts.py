"""The small parts of GRPO: even groups are drawn anew, and long episodes pay for policy tokens only."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rl.grpo.refill import is_even, refill
from rl.grpo.shaping import Overlong
from rl.rows import TrainingRow
from rl.stream import TokenStream

STREAM = TokenStream((1,), (1,), (0.0,), (), 0)


def rows(*rewards: float) -> list[TrainingRow]:
    return [TrainingRow(STREAM, reward, {}, "", lambda sha256: None, {}) for reward in rewards]


def rewards(found: list[TrainingRow]) -> list[float]:
    return [row.reward for row in found]


class Player:
    """Plays groups of two whose rewards are scripted, and remembers which tasks it was asked for."""

    def __init__(self, *groups: tuple[float, float]) -> None:
        self.groups, self.asked, self.named = list(groups), [], 0

    def __call__(self, tasks):
        self.asked.append(list(tasks))
        return [row for _ in tasks for row in rows(*self.groups.pop(0))]

    def next_task(self) -> int:
        self.named += 1
        return 100 + self.named


def test_even_groups_are_replaced_and_others_stay():
    player = Player((0.0, 1.0), (1.0, 1.0), (0.2, 0.9))
    found = refill(rows(0, 1, 1, 1, 0, 0), 2, 5, player, player.next_task)
    assert rewards(found) == [0, 1, 0.0, 1.0, 0.2, 0.9]
    assert player.asked == [[101, 102], [103]]


def test_a_group_that_stays_even_is_kept():
    player = Player((1.0, 1.0), (0.5, 0.5))
    found = refill(rows(0, 0), 2, 2, player, player.next_task)
    assert rewards(found) == [0, 0]
    assert len(player.asked) == 2


def test_a_group_that_breaks_takes_no_others_place():
    found = refill(rows(0, 0, 0), 3, 1, lambda tasks: [*rows(0.0, 1.0), None], lambda: 7)
    assert rewards(found) == [0, 0, 0]


def test_broken_episodes_make_no_group_uneven():
    assert is_even([*rows(1.0, 1.0), None], 1e-6)
    assert is_even([None, None], 1e-6)
    assert not is_even([*rows(1.0, 0.5), None], 1e-6)
    player = Player((0.1, 0.9))
    assert rewards(refill([*rows(1.0), None], 2, 1, player, player.next_task)) == [0.1, 0.9]


def test_what_counts_as_even_is_a_matter_of_spread():
    nearly = rows(0.97, 0.98)
    assert not is_even(nearly, 1e-6)
    assert is_even(nearly, 0.05)
    player = Player((0.1, 0.9))
    assert rewards(refill(nearly, 2, 1, player, player.next_task, spread=0.05)) == [0.1, 0.9]


def test_rows_that_are_no_whole_groups_are_refused():
    with pytest.raises(ValueError, match="whole groups"):
        refill(rows(0, 0, 1), 2, 1, Player(), int)


@given(st.integers(0, 10_000), st.integers(1, 2_000), st.integers(1, 2_000))
def test_the_penalty_grows_from_the_cache_to_the_limit(tokens, cache, more):
    overlong = Overlong(limit=cache + more, cache=cache, most=0.5)
    penalty = overlong.penalty(tokens)
    assert 0 <= penalty <= 0.5
    assert penalty == (0 if tokens <= more else pytest.approx(min(0.5, 0.5 * (tokens - more) / cache)))


def test_seeds_are_in_a_row_and_no_process_has_those_of_another():
    trainer = pytest.importorskip("rl.grpo.trainer").GraphGRPOTrainer

    def seeds(process: int, step: int) -> list[int]:
        of = object.__new__(trainer)
        of.seed, of._drawn, of._drawn_at = 5, 0, -1
        of.state = SimpleNamespace(global_step=step)
        of.accelerator = SimpleNamespace(num_processes=3, process_index=process)
        return [of._seed() for _ in range(600)]

    drawn = [seeds(process, step) for process in range(3) for step in range(4)]
    assert all(each == list(range(each[0], each[0] + 600)) for each in drawn)
    assert len({seed for each in drawn for seed in each}) == 3 * 4 * 600
    assert seeds(1, 2) == drawn[1 * 4 + 2]  # a resumed run's are the same
