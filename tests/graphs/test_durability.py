import json
from collections.abc import Sequence

import numpy as np
import pytest
from graph_stubs import DictSearch, clip, context
from langgraph.checkpoint.memory import InMemorySaver

from graphs.checkpoints import Held, PlainSerializer
from graphs.context import Context
from graphs.conversation import ImageRef, Text, Turn, from_plain, to_plain
from graphs.dialects.seg_research import answer_turn, keyframe_turn, search_turn
from graphs.endings import Ending
from graphs.episode import EpisodeResult, Task, run_episode
from graphs.graph import build_graph
from graphs.policies.replay import ReplayPolicy
from graphs.state import add_counts
from graphs.threads import stream_thread

SCRIPT = [
    search_turn("who", "text_search", "Helsa"),
    "hm",
    keyframe_turn("closer", 3),
    answer_turn("there", (0.1, 0.2, 0.5, 0.6), (0.2, 0.3)),
]


def strict_saver() -> InMemorySaver:
    return InMemorySaver(serde=PlainSerializer())


async def run_thread(task: Task, settings: Context, saver: InMemorySaver, thread_id: str) -> EpisodeResult:
    items = [item async for item in stream_thread(task, settings, Held(saver, None), thread_id)]
    assert isinstance(items[-1], EpisodeResult)
    return items[-1]


async def test_state_survives_a_strict_checkpointer_and_stays_small(caplog: pytest.LogCaptureFixture) -> None:
    saver = strict_saver()
    big = [np.full((480, 640, 3), i, np.uint8) for i in range(5)]
    result = await run_thread(Task("the emblem", big), context(SCRIPT), saver, "a")
    assert result.found
    app, config = build_graph(saver), {"configurable": {"thread_id": "a"}}
    state = (await app.aget_state(config)).values
    assert json.loads(json.dumps(state)) == state  # nothing but plain values
    assert [from_plain(turn) for turn in state["turns"]] == list(result.conversation)
    assert not [record for record in caplog.records if "eserializ" in record.getMessage()]
    stored = sum(len(blob[1]) for blob in saver.blobs.values())
    assert stored < 100_000  # one frame alone has 921,600 bytes


class Killed(BaseException):
    """Passes every `except Exception`, as a kill does."""


class Dying(ReplayPolicy):
    """Dies in turn `dies_at`, as a killed process would: with an exception that no node catches."""

    def __init__(self, dies_at: int) -> None:
        super().__init__(SCRIPT)
        self.dies_at = dies_at

    async def complete(self, turns: Sequence[Turn], images, **options):  # type: ignore[no-untyped-def]
        if sum(turn.role == "assistant" for turn in turns) == self.dies_at:
            raise Killed
        return await super().complete(turns, images, **options)


@pytest.mark.parametrize("dies_at", [0, 1, 3])
async def test_a_killed_episode_goes_on_where_it_stopped(dies_at: int) -> None:
    saver = strict_saver()
    search = DictSearch({"Helsa": "the Otters"})
    task = Task("the emblem", clip())
    with pytest.raises(Killed):
        await run_thread(task, context(Dying(dies_at), search=search), saver, "b")
    result = await run_thread(task, context(SCRIPT, search=search), saver, "b")
    whole = await run_episode(task, context(SCRIPT))
    assert result.ending is Ending.FOUND
    assert len(search.queries) == 1  # a paid search is not repeated
    assert result.instances == whole.instances
    assert [turn.role for turn in result.conversation] == [turn.role for turn in whole.conversation]
    for turn in result.conversation:  # pictures were made again
        for part in turn.parts:
            if isinstance(part, ImageRef):
                assert result.images.get(part.sha256).shape == (part.height, part.width, 3)


def test_turns_survive_being_plain() -> None:
    turn = Turn("assistant", (Text("a"), ImageRef("0" * 64, 2, 3)), (1, 2), (-0.5, 0.0))
    assert from_plain(json.loads(json.dumps(to_plain(turn)))) == turn
    assert from_plain(to_plain(Turn("user", ()))) == Turn("user", ())


def test_counters_add_by_name() -> None:
    assert add_counts({"a": 1}, {"a": 2, "b": 3}) == {"a": 3, "b": 3}
