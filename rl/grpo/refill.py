"""DAPO's dynamic sampling: groups whose episodes all earned the same teach nothing, so other tasks take their place."""

from collections.abc import Callable, Sequence

from rl.rollouts import Rollout

_SAME = 1e-6


def refill(
    rollouts: Sequence[Rollout],
    group: int,
    rounds: int,
    roll_out: Callable[[Sequence[int]], list[Rollout]],
    next_task: Callable[[], int],
) -> list[Rollout]:
    """Replace groups of equal reward up to `rounds` times; the number of rows stays.

    `roll_out` plays one whole group for each task index, `next_task` names another task. A group that is still even
    after the last round is kept: its advantages are 0.
    """
    groups = [list(rollouts[start : start + group]) for start in range(0, len(rollouts), group)]
    for _ in range(rounds):
        even = [at for at, members in enumerate(groups) if is_even(members)]
        if not even:
            break
        fresh = roll_out([next_task() for _ in even])
        for number, at in enumerate(even):
            members = fresh[number * group : (number + 1) * group]
            if not is_even(members):
                groups[at] = members
    return [rollout for members in groups for rollout in members]


def is_even(members: Sequence[Rollout]) -> bool:
    """Tell whether all episodes of a group earned the same."""
    rewards = [rollout.reward for rollout in members]
    return max(rewards) - min(rewards) < _SAME
