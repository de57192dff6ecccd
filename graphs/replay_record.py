"""What a recorded Seg-ReSearch run acted on, turn by turn, by its own published rules; independent of our parser."""

import json
import re
from dataclasses import dataclass
from typing import Any

Plain = dict[str, Any]
"""An action in the recorded run's terms: `kind`, and the query, the frame, or box and point in 0..1000."""

ABSENT: Plain = {"kind": "answer", "absent": True}

_SEARCH = re.compile(r"<search>(.*?)</search>", re.DOTALL)
_KEYFRAME = re.compile(r"<keyframe>(.*?)</keyframe>", re.DOTALL)
_ANSWER = re.compile(r"<answer>(.*?)</answer>")  # on one line only: so it was scored
_ANY_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_FRAME_FILE = re.compile(r"JPEGImages/[^'\"]*?/(\d+)\.\w+")
_NEGATION = re.compile(r"\W*(none|no|not|nothing|absent|there (is|are) no)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Acted:
    """The action that the run took, None if it took none.

    `why` says what kept it from acting, or what it ignored; `meant` is what the turn then literally asks for, None if
    that cannot be told: a reason excuses a difference only where we do what was meant.
    """

    action: Plain | None
    why: str = ""
    meant: Plain | None = None


def recorded_act(text: str, *, observation: str | None, refused: bool, stop_reason: str) -> Acted:
    """Return what the run did with a sampled turn.

    `observation` is what the tool server answered, None if the turn never reached it; `refused` if no tool took it.
    """
    if observation is None:
        return _final(text, stop_reason)
    if refused:
        why = "brackets around the frame index" if _KEYFRAME.search(text) else "this spelling"
        told = f"the tool server had no tool for {why} and answered with an empty turn; it is read here"
        return Acted(None, told, _literal(text))
    if observation.startswith("Frame index not in"):
        why = "the tool server refused keyframe -1, which the no-search prompt demands for 'absent'"
        return Acted(None, why, ABSENT if _frame(text) == -1 else None)
    if frame := _FRAME_FILE.search(observation):
        return Acted({"kind": "keyframe", "frame": int(frame.group(1))})
    asked = _literal(text)
    if observation.startswith("Here is the high-res version") and asked and asked["kind"] == "keyframe":
        return Acted(asked)
    call = _object((_SEARCH.findall(text) or [""])[-1])
    if call and observation.startswith("<information>"):
        return Acted(_search(call))
    return Acted(None, "the tool server answered with an error", asked)


def _final(text: str, stop_reason: str) -> Acted:
    """Return what became of the last turn, which reached no tool: an answer that was scored, or nothing."""
    if stop_reason == "max_turns_reached":
        return Acted(None, "the run had no turn left and did not act on this call", _literal(text))
    found = _ANSWER.search(text)
    if found is None:
        why = "the run scored only answers on one line" if "<answer>" in text else ""
        return Acted(None, why, _literal(text))
    answer = _object(found.group(1))
    if answer is None:
        meant = ABSENT if _NEGATION.match(found.group(1)) else None
        return Acted(None, "the answer is no JSON object, so the run could not read it", meant)
    scored = _answer(answer)
    if not scored["point"] and "point_2_d" in answer:
        meant = _answer({**answer, "point_2d": answer["point_2_d"]})
        return Acted(scored, "the run ignored the point, whose key it misspelled; it is read here", meant)
    return Acted(scored)


def _literal(text: str) -> Plain | None:
    """Return what a turn asks for where it is spelled exactly, but for brackets and line ends; None elsewhere."""
    if (frame := _frame(text)) is not None:
        return {"kind": "keyframe", "frame": frame}
    if call := _object((_SEARCH.findall(text) or [""])[-1]):
        return _search(call)
    answer = _object((_ANY_ANSWER.findall(text) or [""])[-1])
    return _answer(answer) if answer else None


def _frame(text: str) -> int | None:
    inside = (_KEYFRAME.findall(text) or [""])[-1].strip().removeprefix("[").removesuffix("]").strip()
    return int(inside) if re.fullmatch(r"-?\d{1,9}", inside) else None


def _search(call: dict[str, Any]) -> Plain:
    return {"kind": "search", "queries": [[call.get("name"), call.get("query")]]}


def _answer(answer: dict[str, Any]) -> Plain:
    box, point = (value if isinstance(value := answer.get(key), list) else [] for key in ("bbox_2d", "point_2d"))
    return {"kind": "answer", "box": box, "point": point}


def _object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
