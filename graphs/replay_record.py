"""What a recorded Seg-ReSearch run acted on, turn by turn, by its own published rules; independent of our parser."""

import json
import re
from dataclasses import dataclass
from typing import Any

_SEARCH = re.compile(r"<search>(.*?)</search>", re.DOTALL)
_KEYFRAME = re.compile(r"<keyframe>(.*?)</keyframe>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>")  # on one line only: so it was scored
_FRAME_FILE = re.compile(r"JPEGImages/[^'\"]*?/(\d+)\.\w+")


@dataclass(frozen=True)
class Acted:
    """The action that the run took, None if it took none; `why` says what kept it from acting."""

    action: dict[str, Any] | None
    why: str = ""


def recorded_act(text: str, *, observation: str | None, refused: bool, stop_reason: str) -> Acted:
    """Return what the run did with a sampled turn.

    `observation` is what the tool server answered, None if the turn never reached it; `refused` if no tool took it.
    """
    if observation is None:
        return _final(text, stop_reason)
    if refused:
        why = "brackets around the frame index" if _KEYFRAME.search(text) else "this spelling"
        return Acted(None, f"the tool server had no tool for {why} and answered with an empty turn; it is read here")
    if observation.startswith("Frame index not in"):
        return Acted(None, "the tool server refused keyframe -1, which the no-search prompt demands for 'absent'")
    if frame := _FRAME_FILE.search(observation):
        return Acted({"kind": "keyframe", "frame": int(frame.group(1))})
    frames = [inside.strip() for inside in _KEYFRAME.findall(text)]
    if observation.startswith("Here is the high-res version") and frames and frames[-1].isdecimal():
        return Acted({"kind": "keyframe", "frame": int(frames[-1])})
    call = _object((_SEARCH.findall(text) or [""])[-1])
    if call and observation.startswith("<information>"):
        return Acted({"kind": "search", "queries": [[call.get("name"), call.get("query")]]})
    return Acted(None, "the tool server answered with an error")


def _final(text: str, stop_reason: str) -> Acted:
    """Return what became of the last turn, which reached no tool: an answer that was scored, or nothing."""
    if stop_reason == "max_turns_reached":
        return Acted(None, "the run had no turn left and did not act on this call")
    found = _ANSWER.search(text)
    if found is None:
        return Acted(None, "the run scored only answers on one line" if "<answer>" in text else "")
    answer = _object(found.group(1))
    if answer is None:
        return Acted(None, "the answer is no JSON object, so the run could not read it")
    box, point = (value if isinstance(value := answer.get(key), list) else [] for key in ("bbox_2d", "point_2d"))
    return Acted({"kind": "answer", "box": box, "point": point})


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
