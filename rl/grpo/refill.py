"""DAPO's dynamic sampling: groups whose episodes all earned the same teach nothing, so other tasks take their place."""

from collections.abc import Callable, Sequence

from rl.rows import TrainingRow


def refill(
    rows: Sequence[TrainingRow | None],
    group: int,
    rounds: int,
    roll_out: Callable[[Sequence[int]], list[TrainingRow | None]],
    next_task: Callable[[], int],
    *,
    spread: float = 1e-6,
) -> list[TrainingRow | None]:
    """Replace even groups up to `rounds` times; the number of rows stays.

    A group is even if its rewards lie within `spread` of one another. `roll_out` plays one whole group for each task
    index, `next_task` names another task. A group that is still even after the last round is kept: what little its
    rewards differ by is its advantage. Episodes that broke are None; they make no group uneven, and a group of which
    one broke takes no other's place. Raises ValueError if the rows are no whole groups.
    """
    if len(rows) % group:
        raise ValueError(f"{len(rows)} rows are no whole groups of {group}")
    groups = [list(rows[start : start + group]) for start in range(0, len(rows), group)]
    for _ in range(rounds):
        even = [at for at, members in enumerate(groups) if is_even(members, spread)]
        if not even:
            break
        fresh = roll_out([next_task() for _ in even])
        for number, at in enumerate(even):
            members = fresh[number * group : (number + 1) * group]
            if None not in members and not is_even(members, spread):
                groups[at] = members
    return [row for members in groups for row in members]


def is_even(members: Sequence[TrainingRow | None], spread: float) -> bool:
    """Tell whether the rewards of a group lie within `spread`; those of broken episodes are not known."""
    rewards = [row.reward for row in members if row is not None]
    return not rewards or max(rewards) - min(rewards) <= spread
