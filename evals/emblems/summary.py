"""Sum up a run of Emblems in one plain object, the contract of `segscout eval emblems --json`."""

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from evals.emblems.names import Split
from evals.emblems.scoring import EpisodeRecord
from evals.emblems.tasks import ABILITIES
from evals.metrics.intervals import wilson
from evals.runs.versions import versions


def summarise(records: Sequence[EpisodeRecord], *, split: Split, seed: int, search: bool) -> dict[str, Any]:
    """Return the summary of at least one record; shares and scores are 0 to 1, intervals are Wilson's 95 %.

    `miou`, `j_and_f`, `j` and `f` are over all tasks, where a clip without the target counts 1 if the agent says so
    and J and F there count the frames rightly left empty; `miou_present` and `j_and_f_present` are over the tasks that
    have a target, None if there is none, and say how good the masks are. `guess` is what the best guesser without a
    lookup would be expected to reach, see `guess_chance` (0 where the object is absent): what an agent without search
    can hope for on tasks that must be looked up. `box_success` counts boxes of IoU above 0.5 instead of masks: the
    policy without its segmenter.
    """
    present = [record for record in records if record.present]
    seconds = [record.seconds for record in records]
    by_ability = {a: [record for record in records if record.ability == a] for a in ABILITIES}
    return {
        "n": len(records),
        "success": _mean([record.success for record in records]),
        "ci95": _interval(records),
        "miou": _mean([record.iou for record in records]),
        "j_and_f": _mean([record.j_and_f for record in records]),
        "j": _mean([record.j for record in records]),
        "f": _mean([record.f for record in records]),
        "miou_present": _mean([record.iou for record in present]) if present else None,
        "j_and_f_present": _mean([record.j_and_f for record in present]) if present else None,
        "box_success": _mean([record.box_iou > 0.5 for record in records]),
        "by_ability": {ability: _ability(some) for ability, some in by_ability.items() if some},
        "searches_per_episode": _mean([record.searches for record in records]),
        "turns_per_episode": _mean([record.turns for record in records]),
        "seconds_per_episode": _mean(seconds),
        "median_seconds": round(statistics.median(seconds), 4),
        "node_seconds": _node_seconds(records),
        "guess": _mean([record.guess for record in records]),
        "endings": dict(sorted(Counter(record.ending.value for record in records).items())),
        "split": split,
        "seed": seed,
        "search": search,
        "versions": versions(),
    }


def _node_seconds(records: Sequence[EpisodeRecord]) -> dict[str, float]:
    nodes = sorted({node for record in records for node in record.node_seconds})
    return {node: _mean([record.node_seconds.get(node, 0.0) for record in records]) for node in nodes}


def _ability(records: Sequence[EpisodeRecord]) -> dict[str, Any]:
    return {
        "n": len(records),
        "success": _mean([record.success for record in records]),
        "ci95": _interval(records),
        "guess": _mean([record.guess for record in records]),
    }


def _interval(records: Sequence[EpisodeRecord]) -> list[float]:
    low, high = wilson(sum(record.success for record in records), len(records))
    return [round(low, 4), round(high, 4)]


def _mean(values: Sequence[float]) -> float:
    return round(statistics.fmean(values), 4)
