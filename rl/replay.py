"""Replay recorded episodes: does their dialect, as it is today, still act on every turn as the episode did?"""

from collections import Counter
from pathlib import Path

from graphs.actions import Answer, LookCloser, Malformed, Search
from graphs.profiles import get_profile, make_dialect
from graphs.replay import Disagreement, ReplayReport
from rl.records import read_records

_KINDS = {Search: "search", LookCloser: "keyframe", Answer: "answer", Malformed: "malformed"}
_NO_FRAME = "the episode's clip had no such frame, which the turn alone does not tell"
_NAMES = {kind.__name__: told for kind, told in _KINDS.items()}


def replay_records(folder: Path) -> ReplayReport:
    """Read every sampled turn of a folder of records again, each by its own dialect, and compare what it asks for.

    Raises RecordError for records that cannot be read, InputError for a dialect that no longer exists.
    """
    kinds: Counter[str] = Counter()
    disagree: list[Disagreement] = []
    records = turns = 0
    view = get_profile("embedded").view  # reading a turn needs no sizes
    for number, record in enumerate(read_records(folder)):
        records += 1
        dialect = make_dialect(record["dialect"], view)
        sampled = [turn for turn in record["turns"] if turn["kind"] == "policy"]
        for index, turn in enumerate(sampled):
            turns += 1
            ours, recorded = _KINDS[type(dialect.parse(turn["text"]))], _NAMES.get(turn["action"], turn["action"])
            kinds[ours] += 1
            if ours != recorded:
                reason = _NO_FRAME if (recorded, ours) == ("malformed", "keyframe") else ""
                disagree.append(Disagreement(number, index, {"kind": recorded}, {"kind": ours}, reason))
    actions = {kind: kinds[kind] for kind in _KINDS.values()}
    return ReplayReport(records, turns, actions, turns - len(disagree), disagree)
