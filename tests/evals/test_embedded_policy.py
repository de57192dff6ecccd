"""The shipped weights do the main job: the whole agent with retrieval, on clips and names drawn for this test."""

from dataclasses import replace

import pytest

from evals.contexts import make_context
from evals.emblems.benchmark import benchmark_world, make_tasks, run_task
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.summary import summarise
from graphs.policies.loading import EMBEDDED_FOLDER, has_weights, load_policy
from graphs.profiles import get_profile
from rl.keyframes import KeyframeSegmenter
from tools.segmenters import EMBEDDED

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (has_weights(EMBEDDED_FOLDER) and has_weights(EMBEDDED)), reason="no shipped weights"),
]
SEED = 31337


@pytest.mark.parametrize(("search", "least", "most"), [(True, 0.85, 1.0), (False, 0.2, 0.8)])
async def test_it_looks_up_and_cuts_out_and_needs_the_search_for_it(search: bool, least: float, most: float) -> None:
    world = benchmark_world("test", SEED)
    context = make_context(
        load_policy("embedded"), get_profile("embedded"), search=EmblemSearch(world) if search else None
    )
    if not search:  # success is that of the keyframe's mask; that the others are cut, too, the half with search shows
        assert context.segmenter is not None
        context = replace(context, segmenter=KeyframeSegmenter(context.segmenter))
    records = [(await run_task(task, context))[0] for task in make_tasks("test", SEED, 20)]
    summary = summarise(records, split="test", seed=SEED, search=search)
    assert least <= summary["success"] <= most
    looked_up = [r.success for r in records if r.ability in ("one-hop", "multi-hop")]
    assert sum(looked_up) >= 7 if search else sum(looked_up) <= 5
    assert all(r.searches == 0 for r in records) or search
