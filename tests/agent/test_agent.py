"""The agent from Python: sync, async, streamed, whatever the media are."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from agent_stubs import FACT, HEIGHT, ROOT, WIDTH, agent, frames, script, square, write_clip
from chat_server import chat_server, said

from agent import Ending, Result, SegmentationAgent
from graphs.dialects.seg_research import absent_turn
from graphs.events import Answered, Ended, KeyframeShown, MasksCut, SearchFinished, SearchStarted, TurnSampled
from tools.errors import InputError, KnowledgeBaseError, MediaError


def check(result: Result) -> None:
    assert result.found
    assert not result.absent
    assert result.keyframe == 2
    (instance,) = result.instances
    assert instance.box == pytest.approx(square(2), abs=0.1)
    assert sorted(instance.masks) == list(range(6))
    assert instance.masks[0].dtype == np.bool_
    assert instance.masks[0].shape == (HEIGHT, WIDTH)
    assert instance.masks[2].sum() == 400
    assert result.evidence[0].snippet == FACT
    assert result.evidence[0].claim == "emblem of the Otters"
    assert (result.usage.turns, result.usage.searches) == (3, 1)
    assert set(result.usage.seconds) == {"plan", "search", "observe", "reason", "localize"}
    assert (result.versions.policy, result.versions.segmenter, result.versions.seed) == ("replay", "box", 0)


def test_a_list_of_frames_an_array_and_a_file_are_the_same_clip(tmp_path):
    player = agent()
    check(player.segment(frames(), "the emblem of the Otters"))
    check(player.segment(np.stack(frames()), "the emblem of the Otters"))
    check(player.segment(str(write_clip(tmp_path / "clip.mp4")), "the emblem of the Otters"))


def test_a_file_stays_open_for_its_result_and_no_longer_than_that(tmp_path):
    path = write_clip(tmp_path / "clip.mp4")
    with pytest.raises(InputError):
        agent().segment(path, "  ")
    assert not is_open(path)
    result = agent().segment(path, "the emblem of the Otters")
    result.save(tmp_path / "out")
    assert is_open(path)
    result.media.close()
    assert not is_open(path)


def is_open(path: Path) -> bool:
    return any(link.exists() and link.resolve() == path for link in Path("/proc/self/fd").iterdir())


def test_masks_are_compared_by_what_they_cover():
    one, same = (agent().segment(frames(), "q").instances for _ in range(2))
    other = agent(script(3)).segment(frames(), "q").instances
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


@pytest.mark.parametrize("media", [frames(1)[0], PIL.Image.fromarray(frames(1)[0])])
def test_a_picture_has_one_frame(media):
    result = agent(script(0)).segment(media, "the red square")
    assert list(result.instances[0].masks) == [0]
    assert result.media.kind == "image"


def test_absent_is_an_answer():
    result = agent([absent_turn("Nothing there.")]).segment(frames(), "a whale")
    assert (result.absent, result.found, result.failure, result.instances) == (True, False, None, ())


def test_sync_inside_a_running_loop_and_many_at_once():
    async def notebook() -> None:
        player = agent()
        check(player.segment(frames(), "q"))
        for result in await asyncio.gather(*(player.asegment(frames(), "q") for _ in range(4))):
            check(result)

    asyncio.run(notebook())


async def test_the_stream_tells_each_step_in_order_and_the_result_last():
    items = [item async for item in agent().stream(frames(), "q")]
    kinds = [type(item) for item in items if type(item).__name__ != "NodeFinished"]
    assert kinds == [
        TurnSampled, SearchStarted, SearchFinished, TurnSampled, KeyframeShown, TurnSampled, Answered,
        *[MasksCut] * 6, Ended, Result,
    ]  # fmt: skip
    assert isinstance(items[-1], Result)
    check(items[-1])


def test_an_endpoint_that_is_down_is_told_in_the_result_and_named():
    result = SegmentationAgent("http://127.0.0.1:9/v1", segmenter=None).segment(frames(), "q")
    assert result.ending is Ending.POLICY_BROKEN
    assert result.failure is not None
    assert "127.0.0.1:9" in result.failure.message
    assert result.failure.remedy


def test_an_endpoint_gets_the_key_of_the_settings_and_its_profile(monkeypatch):
    monkeypatch.setenv("SEGSCOUT_API_KEY", "very-secret")
    with chat_server() as server:
        server.answers = [said(turn) for turn in script()]
        player = SegmentationAgent(server.url, segmenter=None, search=None)
        result = player.segment(frames(), "q")
        again = player.segment(frames(), "q")  # in a second event loop
    assert result.keyframe == 2
    assert again.ending is Ending.FOUND
    assert set(server.keys) == {"Bearer very-secret"}
    assert len(server.requests[0]["messages"]) == 2
    assert "very-secret" not in json.dumps(result.to_dict())


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"policy": "no-such-thing"}, InputError),
        ({"policy": "embedded", "model": "x"}, InputError),
        ({"policy": "ftp://host"}, InputError),
        ({"policy": "http://host", "profile": "nope"}, InputError),
        ({"policy": "http://host", "dialect": "nope"}, InputError),
        ({"policy": "http://host", "segmenter": "nope"}, InputError),
        ({"policy": "http://host", "segmenter": "grabcut", "sam2_model": "x"}, InputError),
        ({"policy": "http://host", "segmenter": None, "knowledge_base": "/no/such/folder"}, KnowledgeBaseError),
    ],
)
def test_what_is_missing_is_said_when_the_agent_is_made(arguments, error):
    with pytest.raises(error) as caught:
        SegmentationAgent(**arguments)
    assert caught.value.remedy


def test_bad_media_and_queries_are_refused():
    player = agent()
    with pytest.raises(InputError):
        player.segment(frames(), "  ")
    with pytest.raises(MediaError):
        player.segment("/no/such/file.png", "q")
    with pytest.raises(InputError):
        player.segment(3, "q")


@pytest.mark.parametrize("names", ["from agent import SegmentationAgent, Result", "import rl.cli"])
def test_importing_the_names_costs_no_torch(names):
    code = f"import sys; {names}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
