"""Runner: an episode that must not be trained on is refused, and the others go on."""

import asyncio
from functools import cache

import pytest
from rollout_stubs import Prompted, runner

from evals.emblems.exact import ExactSegmenter
from evals.emblems.knowledge import EmblemSearch
from evals.emblems.oracle import Oracle
from evals.emblems.tasks import shown_frames
from graphs.budget import Budget
from graphs.context import Context
from graphs.dialects.seg_research import absent_turn, search_turn
from graphs.episode import run_episode
from graphs.events import Event
from graphs.nodes.sampling import STRIDE
from graphs.policies.base import Completion
from graphs.policies.replay import ReplayPolicy
from graphs.profiles import get_profile
from rl.plays import to_play
from rl.rewards.base import Reward, total
from rl.rewards.seg_research import SegResearch
from rl.rewards.segscout import Segscout
from rl.tasks.emblems import EmblemsSource, expert_steps


def test_an_episode_with_a_picture_too_many_is_refused_and_told(tiny_policy, monkeypatch, caplog):
    rolling = runner(tiny_policy)

    complete = Prompted.complete

    async def invents(self, turns, images, **asked):
        done = await complete(self, turns, images, **asked)
        # at every turn the seeds of two episodes are as far apart as the episodes' own
        if (asked["sampling"].seed - 1000) % STRIDE or "<answer>" not in done.text:
            return done
        ids = (self._batching.chatml.image_pad, *done.token_ids)
        return Completion(done.text, "stop", done.prompt_tokens, len(ids), ids, (0.0, *done.logprobs))

    monkeypatch.setattr(Prompted, "complete", invents)
    first, second, third = rolling.run([(0, 0), (0, 1000), (5, 20)])
    assert first is not None
    assert third is not None
    assert second is None
    assert "image tokens come in runs" in caplog.text


BUDGET = Budget(turns=12, searches=12)


@cache
def emblems() -> tuple[EmblemsSource, EmblemSearch]:
    """Two tasks, the second of one hop, and where they are looked up."""
    source = EmblemsSource("val", 3, 2)
    return source, EmblemSearch(source.world)


def played(
    turns: list[str], budget: Budget = BUDGET, *, may_search: bool = True, reward: Reward | None = None
) -> dict[str, float]:
    """What a reward, Segscout's by default, gives the graph's own episode of these turns on a one-hop task."""
    events: list[Event] = []
    source, search = emblems()
    task = source[1]
    context = Context(
        policy=ReplayPolicy(turns),
        dialect=get_profile("embedded").make_dialect(),
        segmenter=ExactSegmenter(source.draw(1).clip),
        search=search if may_search else None,
        budget=budget,
        sink=events.append,
    )
    result = asyncio.run(run_episode(task.task, context))
    reward = reward or Segscout()
    components = reward.components(to_play(task, result, events))
    return {**components, "reward": total(reward, components)}


def honest() -> tuple[str, list[str]]:
    """The oracle's search on that task, and its turns after it."""
    source, search = emblems()
    drawn = source.draw(1)
    oracle = Oracle(drawn, source.world, shown_frames(len(drawn.clip), 4))
    asked = oracle.turn("")
    found = asyncio.run(search.search_text(expert_steps(drawn)[0], 2))
    after = [oracle.turn(" ".join(f"{hit.title} {hit.snippet}" for hit in found))]
    while "<answer>" not in after[-1]:
        after.append(oracle.turn(""))
    return asked, after


def test_the_same_search_again_costs_through_the_graph_too():
    asked, after = honest()
    once = played([asked, *after])
    assert once["hit"] == 1
    assert once["wasted_searches"] == 0
    for times in (2, 4):
        again = played([asked] * times + after)
        assert again["hit"] == 1
        assert again["wasted_searches"] == times - 1
        assert again["reward"] == pytest.approx(once["reward"] - 0.05 * (times - 1))


def test_a_search_that_the_graph_refuses_costs_as_well():
    asked, after = honest()
    more = search_turn("a", "text_search", "something else")
    spent = played([asked, more, *after], Budget(turns=12, searches=1))
    assert (spent["hit"], spent["wasted_searches"]) == (1, 1)
    off = played([more, *after], may_search=False)
    assert (off["hit"], off["wasted_searches"]) == (1, 1)


def test_texts_and_pictures_of_the_same_words_are_two_searches():
    source = EmblemsSource("val", 3, 40)
    index = next(i for i in range(40) if len(expert_steps(source.draw(i))) == 2 and source.draw(i).bridge is None)
    words = expert_steps(source.draw(index))[0]
    tools = ", ".join(f'{{"name": "{tool}", "query": "{words}"}}' for tool in ("text_search", "image_search"))
    both = f"<thinking>a</thinking><search>[{tools}]</search>"
    task = source[index]
    events: list[Event] = []
    context = Context(
        policy=ReplayPolicy([both, absent_turn("b")]),
        dialect=get_profile("embedded").make_dialect(),
        search=EmblemSearch(source.world),
        budget=Budget(),
        sink=events.append,
    )
    play = to_play(task, asyncio.run(run_episode(task.task, context)), events)
    assert (play.searches, play.useful) == (2, 2)


SLIPS = {
    "no action": "<thinking> hm </thinking>",
    "no such tool": '<thinking> a </thinking>\n<search> {"name": "video_search", "query": "x"} </search>',
    "no such frame": "<thinking> a </thinking>\n<keyframe> 99 </keyframe>",
    "no box": '<thinking> a </thinking>\n<answer> {"bbox_2d": [1, 2, 3], "point_2d": [1, 2]} </answer>',
    "cut off": '<thinking> a </thinking>\n<answer> {"bbox_2d": ',
}


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_that_was_mended_costs_no_part_of_the_published_reward(slip):
    reward = SegResearch(lambda query, steps: float(query in steps))
    asked, after = honest()
    clean = played([asked, *after], reward=reward)
    assert (clean["iou_score"], clean["box_l1_score"], clean["num_search"]) == (1, 1, 1)
    assert clean["process_score"] == pytest.approx(0.5 * (1 + 1 - 0.3**2))  # an expert's query, and a well-formed end
    assert played([SLIPS[slip], asked, *after], reward=reward) == clean
