"""What Seg-ReSearch's reward reads in a rollout: its rules, quirks included, in linear time.

The text is one for all turns; tags in it count whoever wrote them. The published rules are lazy regular
expressions over all of it; here each is a few searches that only move forward and find the same spans.

Source: https://github.com/iSEE-Laboratory/Seg-ReSearch, `okvos` reward manager, as described in its specification.
"""

import json
import re

from rl.rewards.geometry import read_box, read_point

_THINKING = "<thinking>"
_KEYFRAME = re.compile(r"<keyframe>\s*(\d+)\s*</keyframe>")
_THEN_KEYFRAME = re.compile(r"</thinking>\s*<keyframe>\s*\d+\s*</keyframe>")
_THEN_SEARCH = re.compile(r"</thinking>\s*<search>")
_THEN_ANSWER = re.compile(r"</thinking>\s*<answer>")
_QUERY = re.compile(r'"name":\s*"text_search",\s*"query":\s*"([^\n]*?)"\}')


def first_keyframe(text: str) -> int | None:
    """Return the first frame index in a keyframe tag; None if there is none or it is spelled like `03`."""
    found = _KEYFRAME.search(text)
    # The published reward looks the spelling up among the true frames, which are spelled 0, 1, 2, …
    if found is None or len(found[1]) > 18 or found[1] != str(int(found[1])):
        return None
    return int(found[1])


def first_answer(text: str) -> dict[str, object] | None:
    """Return the JSON object in the first answer tag that closes on its own line; None if it is none."""
    for line in text.split("\n"):
        _, opened, rest = line.partition("<answer>")
        body, closed, _ = rest.partition("</answer>")
        if opened and closed:
            return _json_object(body)
    return None


def first_text_query(text: str) -> str | None:
    """Return the first text search's query: only if `query` is the last key and the brace follows it at once."""
    found = _QUERY.search(text)
    return found[1] if found else None


def count_search_tags(text: str) -> int:
    """Return how often a search tag opens, whatever follows."""
    return text.count("<search>")


def count_thought_searches(text: str) -> int:
    """Return how many searches follow a thought directly; what is searched for is not looked at."""
    count, at = 0, 0
    while (start := text.find(_THINKING, at)) >= 0:
        search = _THEN_SEARCH.search(text, start + len(_THINKING))
        end = text.find("</search>", search.end()) if search else -1
        if end < 0:
            break
        count, at = count + 1, end + len("</search>")
    return count


def is_well_formed(text: str) -> bool:
    """Return whether a keyframe and a complete answer each follow a thought directly; lines may be broken anywhere."""
    start = text.find(_THINKING)
    if start < 0:
        return False
    start += len(_THINKING)
    answer = _THEN_ANSWER.search(text, start)
    end = text.find("</answer>", answer.end()) if answer else -1
    if answer is None or end < 0 or _THEN_KEYFRAME.search(text, start) is None:
        return False
    found = _json_object(text[answer.end() : end])
    if found is None or set(found) != {"bbox_2d", "point_2d"}:
        return False
    return read_box(found["bbox_2d"]) is not None and read_point(found["point_2d"]) is not None


def _json_object(text: str) -> dict[str, object] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
