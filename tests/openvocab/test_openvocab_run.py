"""The second graph from picture to maps, on a toy world whose right answers are worked out by hand."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from vocabulary_stubs import SCRIPT, ColourSegmenter, Script, context, picture

from graphs.endings import Ending
from graphs.openvocab import OpenVocabularyResult, Settings, segment_vocabulary, stream_vocabulary
from graphs.openvocab.events import VocabularyEvent, as_plain_event
from graphs.openvocab.fusion import NOTHING, PresencePrior
from graphs.openvocab.graph import build_graph, graph
from graphs.openvocab.reasons import read_image_reasons, write_image_reasons
from tools.errors import InputError

APPLE, BICYCLE, WALL = 0, 1, 2


class Killed(BaseException):
    """What no boundary catches, as when the process is ended."""


def at(result: OpenVocabularyResult) -> tuple[int, int, int]:
    """The labels of the red block, the blue block and the ground."""
    assert result.maps is not None
    labels = result.maps.labels
    return int(labels[20, 15]), int(labels[20, 45]), int(labels[2, 2])


async def test_three_steps_of_reasoning_label_every_pixel_and_say_why() -> None:
    result = await segment_vocabulary(picture(), context(Script(**SCRIPT)))
    assert (result.ending, result.failure) == (Ending.FOUND, None)
    assert at(result) == (APPLE, BICYCLE, WALL)
    assert result.unaligned == ("unicorn",)
    assert {s.name: (s.said, s.attributes) for s in result.segments} == {
        "apple": ("apple", ("red skin",)),
        "bicycle": ("bikes", ("blue frame",)),
        "wall": ("wall", ()),
    }
    assert {s.name: s.pixels for s in result.segments} == {"apple": 400, "bicycle": 400, "wall": 1600}
    assert [reply["step"] for reply in result.replies] == ["describe", "shortlist", "reason"]
    assert result.replies[1]["text"] == SCRIPT["shortlist"]


async def test_attributes_tell_classes_apart_that_bare_names_confuse() -> None:
    """Bare "apple" and "bicycle" are nearly the same to the toy encoder, and stay so without reasons."""
    bare = await segment_vocabulary(picture(), context(None))
    told = await segment_vocabulary(picture(), context(Script(**SCRIPT)))
    assert bare.scores is not None
    assert told.scores is not None
    red = next(i for i, one in enumerate(told.regions) if one.mask[20, 15])
    gaps = [float(scores[red, APPLE] - scores[red, BICYCLE]) for scores in (bare.scores, told.scores)]
    assert gaps[1] > 3 * abs(gaps[0])


@pytest.mark.parametrize(("hard", "blue"), [(False, BICYCLE), (True, APPLE)])
async def test_a_class_that_reasoning_missed_can_still_be_found_unless_gating_is_hard(hard: bool, blue: int) -> None:
    apple = '[{"class": "apple", "attributes": ["red skin"]}]'
    policy = Script(**{**SCRIPT, "shortlist": '["apple", "wall"]', "reason": apple})
    weak = PresencePrior(weight=0.1, hard=hard)
    result = await segment_vocabulary(picture(), context(policy, settings=Settings(prior=weak)))
    assert at(result) == (APPLE, blue, WALL)


async def test_a_reply_that_cannot_be_read_is_asked_for_once_more_and_then_gone_without() -> None:
    mended = Script(**{**SCRIPT, "shortlist": ["no idea", '{"classes": ["apple"]}']})
    result = await segment_vocabulary(picture(), context(mended))
    assert [(r["step"], bool(r["problem"])) for r in result.replies][1:3] == [("shortlist", True), ("shortlist", False)]
    assert "no idea" in mended.asked[2][1]
    lost = await segment_vocabulary(picture(), context(Script(**{**SCRIPT, "shortlist": "no idea"})))
    assert lost.ending is Ending.FOUND
    assert lost.present == {}
    assert at(lost)[2] == WALL
    assert sum(r["step"] == "shortlist" for r in lost.replies) == 2


async def test_a_broken_policy_or_segmenter_is_an_ending_with_its_remedy() -> None:
    result = await segment_vocabulary(picture(), context(Script(describe="{}")))
    assert (result.ending, result.maps) == (Ending.POLICY_BROKEN, None)
    assert result.failure == {
        "boundary": "policy",
        "message": "there is no reply to shortlist.",
        "remedy": "Script one.",
    }

    class Broken(ColourSegmenter):
        def segment(self, image: object, prompts: object) -> list[object]:  # type: ignore[override]
            raise RuntimeError("out of memory")

    broken = await segment_vocabulary(picture(), context(None, segmenter=Broken()))
    assert broken.ending is Ending.SEGMENTER_BROKEN
    assert broken.failure is not None
    assert "out of memory" in broken.failure["message"]


async def test_boxes_of_the_policy_become_masks_of_their_class() -> None:
    boxes = ['{"boxes": [[83, 250, 417, 750]]}', "[[583, 250, 917, 750]]", '{"boxes": []}']
    policy = Script(**SCRIPT, locate=boxes)
    result = await segment_vocabulary(picture(), context(policy, encoder=None, settings=Settings(regions="boxes")))
    assert at(result) == (APPLE, BICYCLE, NOTHING)
    assert result.maps is not None
    assert np.count_nonzero(result.maps.labels == APPLE) == 400
    assert [r["about"] for r in result.replies if r["step"] == "locate"] == ["apple", "bikes", "wall"]


async def test_a_large_vocabulary_is_shown_in_parts() -> None:
    policy = Script(**SCRIPT)
    await segment_vocabulary(picture(), context(policy, settings=Settings(names_per_question=2)))
    parts = [text for step, text, _ in policy.asked if step == "shortlist"]
    assert [("apple; bicycle" in text, "Classes: wall" in text) for text in parts] == [(True, False), (False, True)]
    assert all(sampling.schema for _, _, sampling in policy.asked)


async def test_recorded_reasons_take_the_place_of_asking(tmp_path: Path) -> None:
    first = await segment_vocabulary(picture(), context(Script(**SCRIPT)))
    write_image_reasons(tmp_path / "reasons.json", first.reasons, first.replies)
    silent = Script()
    again = await segment_vocabulary(picture(), context(silent, reasons=read_image_reasons(tmp_path / "reasons.json")))
    assert silent.asked == []
    assert again.maps is not None
    assert first.maps is not None
    np.testing.assert_array_equal(again.maps.labels, first.maps.labels)
    assert again.present == first.present


async def test_every_step_is_streamed_and_the_result_comes_last() -> None:
    seen: list[VocabularyEvent] = []
    parts = [part async for part in stream_vocabulary(picture(), context(Script(**SCRIPT), sink=seen.append))]
    assert isinstance(parts[-1], OpenVocabularyResult)
    assert parts[:-1] == seen
    kinds = [event.kind for event in seen if event.kind != "node"]
    assert kinds == ["reply", "reply", "reply", "aligned", "composed", "regions", "fused", "ended"]
    nodes = [as_plain_event(event)["node"] for event in seen if event.kind == "node"]
    assert nodes == ["describe", "shortlist", "reason", "align", "compose", "segment", "fuse"]


async def test_a_run_that_was_cut_short_goes_on_without_asking_again() -> None:
    app = build_graph(InMemorySaver())
    config = {"configurable": {"thread_id": "one"}}

    class Interrupted(ColourSegmenter):
        def segment(self, image: object, prompts: object) -> list[object]:  # type: ignore[override]
            raise Killed

    with pytest.raises(Killed):
        await segment_vocabulary(picture(), context(Script(**SCRIPT), segmenter=Interrupted()), app=app, config=config)
    silent = Script()
    result = await segment_vocabulary(picture(), context(silent), app=app, config=config, resume=True)
    assert silent.asked == []
    assert at(result) == (APPLE, BICYCLE, WALL)


async def test_masks_that_another_process_cut_are_cut_again_before_they_are_fused() -> None:
    app = build_graph(InMemorySaver())
    config = {"configurable": {"thread_id": "two"}}
    ready = replace(context(None), image=picture())
    await app.ainvoke({"image": "x"}, config, context=ready, interrupt_before=["fuse"])
    result = await segment_vocabulary(picture(), context(None), app=app, config=config, resume=True)
    assert at(result)[2] == WALL


def test_the_graph_draws_itself() -> None:
    drawn = graph.get_graph().draw_mermaid()
    for edge in ("describe -.-> shortlist", "compose -.-> locate", "compose -.-> segment", "fuse -.-> __end__"):
        assert edge in drawn


async def test_what_does_not_fit_together_is_refused() -> None:
    with pytest.raises(InputError, match="uint8"):
        await segment_vocabulary(np.zeros((4, 4, 3)), context(None))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="need an encoder"):
        context(None, encoder=None)
    with pytest.raises(InputError, match="need a policy"):
        context(None, settings=Settings(regions="boxes"))
