"""Replay recorded rollouts of Seg-ReSearch: does our parser act on every turn as the recorded run did?

What the run acted on is read from the record itself, by the rules of Seg-ReSearch's own code and paper
(iSEE-Laboratory/Seg-ReSearch, arXiv 2602.04454) and without our parser: the frame from the tool server's observation,
the query by strict JSON, the answer as it was scored.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from graphs.actions import Action, Answer, LookCloser, Search
from graphs.dialects.base import Dialect
from graphs.replay_record import Acted, Plain, recorded_act
from tools.errors import InputError, boundary

_TURN_START = "<|im_start|>assistant\n"
_TURN_END = "<|im_end|>"
_KINDS = ("search", "keyframe", "answer", "malformed")


AnyRecord = TypeVar("AnyRecord", bound=BaseModel)


class Step(BaseModel):
    """One call of the recorded tool server: the turn it was given and what it answered."""

    action: str
    obs: str | None = ""
    invalid_reason: str | None = None


class Record(BaseModel):
    """The fields of a recorded rollout that replay needs."""

    output: str
    tool_interact_info: list[Step]
    traj_stop_reason: str = ""


@dataclass(frozen=True)
class Disagreement:
    """A turn on which we act otherwise; an empty reason means that we do not know why."""

    record: int
    turn: int
    recorded: dict[str, Any] | None
    ours: dict[str, Any] | None
    reason: str


@dataclass(frozen=True)
class ReplayReport:
    """Counts over a file, and every turn on which we act otherwise."""

    records: int
    turns: int
    actions: dict[str, int]
    agree: int
    disagree: list[Disagreement] = field(default_factory=list)

    @property
    def unexplained(self) -> int:
        """How many disagreements have no reason."""
        return sum(not one.reason for one in self.disagree)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as plain data, as the command prints it."""
        return {
            "records": self.records,
            "turns": self.turns,
            "actions": self.actions,
            "agree": self.agree,
            "disagree": [vars(one) for one in self.disagree],
        }


def replay_rollouts(path: Path, dialect: Dialect) -> ReplayReport:
    """Feed every sampled turn of a rollouts file (JSON lines) through `dialect` and compare.

    Raises InputError if the file is missing, empty, or not in the recorded format; the line is named.
    """
    records = read_records(path, Record)
    kinds: Counter[str] = Counter()
    disagree: list[Disagreement] = []
    turns = 0
    for number, record in enumerate(records):
        for index, text in enumerate(split_turns(record.output)):
            turns += 1
            action = dialect.parse(text)
            ours = plain_action(action)
            kinds[ours["kind"] if ours else "malformed"] += 1
            step = record.tool_interact_info[index] if index < len(record.tool_interact_info) else None
            acted = recorded_act(
                text,
                observation=step.obs if step else None,
                refused=bool(step and step.invalid_reason),
                stop_reason=record.traj_stop_reason,
            )
            if acted.action != ours:
                disagree.append(Disagreement(number, index, acted.action, ours, explain(acted, ours)))
    actions = {kind: kinds[kind] for kind in _KINDS}
    return ReplayReport(len(records), turns, actions, turns - len(disagree), disagree)


def read_records(path: Path, kind: type[AnyRecord]) -> list[AnyRecord]:
    """Read a rollouts file, JSON lines of one kind; InputError names the file and the line that cannot be read."""
    remedy = "Give a .jsonl file of recorded Seg-ReSearch rollouts."
    if not path.is_file():
        raise InputError(f"there is no file {path}.", remedy=remedy)
    records: list[AnyRecord] = []
    with boundary(InputError, f"cannot read {path}", remedy=remedy), path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                records.append(kind.model_validate_json(line))
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(key) for key in first["loc"]) or "JSON"
                raise InputError(f"{path}, line {number}: {where}: {first['msg']}.", remedy=remedy) from error
    if not records:
        raise InputError(f"{path} holds no records.", remedy=remedy)
    return records


def split_turns(output: str) -> list[str]:
    """Split a decoded output into the turns that the policy sampled, without the turn tokens."""
    return [piece.split(_TURN_END, 1)[0].rstrip("\n") for piece in output.split(_TURN_START)]


def plain_action(action: Action) -> Plain | None:
    """Return an action in the recorded run's terms (boxes and points in 0..1000), None if there is none."""
    match action:
        case Search(queries):
            return {"kind": "search", "queries": [[query.tool, query.query] for query in queries]}
        case LookCloser(frame):
            return {"kind": "keyframe", "frame": frame}
        case Answer(targets) if not targets:
            return {"kind": "answer", "absent": True}
        case Answer(targets):
            box = [round(value * 1000, 6) for value in targets[0].box or ()]
            point = [round(value * 1000, 6) for value in (targets[0].points or ((),))[0]]
            more = {"more": len(targets) - 1} if len(targets) > 1 else {}
            return {"kind": "answer", "box": box, "point": point, **more}
    return None


def explain(acted: Acted, ours: Plain | None) -> str:
    """Return why we knowingly act otherwise than the recorded run; nothing if we do not know.

    Every reason is checked against the record: it holds only if what we do is what the reason says that we do.
    """
    recorded = acted.action
    if ours is None:
        return ""
    if acted.why:
        return acted.why if acted.meant == ours or _answered_better(acted.meant, ours) else ""
    return _answered_better(recorded, ours)


def _answered_better(recorded: Plain | None, ours: Plain) -> str:
    """Return what we knowingly do with a recorded answer that the run did not do; nothing if ours is another one."""
    if recorded is None or recorded["kind"] != "answer" or ours["kind"] != "answer" or "absent" in recorded:
        return ""
    box, point = recorded["box"], recorded["point"]
    if ours.get("absent"):
        zeros = not any(box) and not any(point)
        return "an all-zero box says that the target is absent; the run scored it as a box" if box and zeros else ""
    if "more" in ours or _in_order(box) != ours["box"]:
        return ""
    reasons = [] if box == ours["box"] else ["the box is put in order and clamped to the frame here"]
    if point != ours["point"]:
        filler = len(point) != 2 or not any(point)
        clamped = _clamped(point) == ours["point"]
        if not (clamped or (filler and not ours["point"])):
            return ""
        told = "is clamped to the frame here" if clamped else "has the wrong length or is a mere filler; it is left out"
        reasons.append(f"the point {told}")
    return "; ".join(reasons)


def _in_order(box: list[Any]) -> list[float]:
    """Return a recorded box clamped to 0..1000, lesser corner first; empty if it is no box of four numbers."""
    clamped = _clamped(box)
    if len(clamped) != 4:
        return []
    x1, y1, x2, y2 = clamped
    return [min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)]


def _clamped(values: list[Any]) -> list[float]:
    return [min(max(value, 0), 1000) for value in values if isinstance(value, int | float)]
