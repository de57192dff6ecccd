"""The steps of a run as HTML: what was thought, what was looked up, and which source said what."""

from collections.abc import Sequence

from agent.page.markup import shown, source
from agent.result import Step
from agent.wording import FATES, answer_of, thought_of
from graphs.events import (
    Answered,
    Event,
    FoundHit,
    KeyframeShown,
    MasksCut,
    Repaired,
    SearchFinished,
    SearchStarted,
    TurnSampled,
)

_THOUGHT_CHARS = 4_000
_NAMES = {"plan": "Plan", "reason": "Think"}


def show_steps(steps: Sequence[Step]) -> str:
    """Return the steps so far as an ordered list; a search that is back stands once, with what it brought."""
    lines = [_line(step, steps[number + 1 :]) for number, step in enumerate(steps)]
    told = "".join(line for line in lines if line)
    return f'<ol class="steps" aria-label="Steps" aria-live="polite">{told}</ol>' if told else ""


def _line(step: Step, later: Sequence[Step]) -> str:
    told = _told(step.event, later)
    if told is None:
        return ""
    kind, name, body = told
    return (
        f'<li class="step {kind}"><span class="what">{name}</span><div class="said">{body}</div>'
        f"<time>{step.at:.1f} s</time></li>"
    )


def _told(event: Event, later: Sequence[Step]) -> tuple[str, str, str] | None:
    """Return an event's kind, its name and its HTML; None if it has nothing to say, or a later one says it."""
    match event:
        case TurnSampled():
            thought = shown(thought_of(event), _THOUGHT_CHARS)
            return ("think", _NAMES.get(event.node, "Think"), thought) if thought else None
        case SearchStarted():
            back = any(isinstance(one.event, SearchFinished) and _same(event, one.event) for one in later)
            return None if back else ("search", "Look up", f"{_quoted(event)} <i>…</i>")
        case SearchFinished():
            return "search", "Look up", _quoted(event) + _found(event)
        case KeyframeShown():
            return "look", "Look closer", f"at frame {event.frame}, in high resolution"
        case Repaired():
            return "repair", "Try again", shown(f"{event.reason}. {event.hint}", 500)
        case Answered():
            return "answer", "Answer", answer_of(event)
        case MasksCut():
            return "masks", "Cut out", _masks(event)
    return None


def _same(started: SearchStarted, finished: SearchFinished) -> bool:
    return (started.tool, started.query) == (finished.tool, finished.query)


def _quoted(event: SearchStarted | SearchFinished) -> str:
    pictures = " <small>pictures</small>" if event.tool == "image_search" else ""
    return f"<q>{shown(event.query, 500)}</q>{pictures}"


def _found(event: SearchFinished) -> str:
    if event.error:
        return f'<p class="note bad">failed: {shown(event.error, 300)}</p>'
    note = FATES.get(event.fate) or ("" if event.hits else "nothing was found")
    hits = "".join(f"<li>{show_hit(hit)}</li>" for hit in event.hits)
    return (f'<p class="note">{note}</p>' if note else "") + (f'<ul class="hits">{hits}</ul>' if hits else "")


def show_hit(hit: FoundHit) -> str:
    """Return what a source says, and which one it is."""
    said = f"<span>{shown(hit.snippet, 300)}</span> " if hit.snippet else ""
    return f"<b>{shown(hit.title, 150)}</b> {said}{source(hit.source)}"


def _masks(event: MasksCut) -> str:
    told = f"{event.done} of {event.total} {'frame' if event.total == 1 else 'frames'}"
    if event.done == event.total:
        return told
    return f'{told}<progress value="{event.done}" max="{event.total}" aria-label="Masks cut"></progress>'
