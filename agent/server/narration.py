"""Tell an episode while it happens: each event as a few lines of Markdown, for the `reasoning` of a chat."""

from agent.server.markdown import quoted, source_link
from agent.wording import FATES, TOLD_FRAMES, answer_of, thought_of
from graphs.events import (
    Answered,
    Event,
    FoundHit,
    KeyframeShown,
    MasksCut,
    Question,
    Repaired,
    SearchFinished,
    SearchStarted,
    TurnSampled,
)

_THOUGHT_CHARS = 4_000


def narrate(event: Event) -> str:
    """Return what an event has to say, ending in a newline; empty if it has nothing to say."""
    lines = _lines(event)
    return "".join(f"{line}\n" for line in lines if line)


def _lines(event: Event) -> list[str]:
    match event:
        case TurnSampled():
            return [_thought(event)]
        case SearchStarted():
            return [f"Search ({event.tool.removesuffix('_search')}): {quoted(event.query, 500)}"]
        case SearchFinished():
            return _found(event)
        case KeyframeShown():
            return [f"Look closer at frame {event.frame}."]
        case Repaired():
            return [f"That could not be used: {quoted(f'{event.reason}. {event.hint}', 500)}"]
        case Question():
            return [f"{event.answers} answers disagree: a question."]
        case Answered():
            return [f"Answer: {answer_of(event)}."]
        case MasksCut() if event.done == event.total or event.done % TOLD_FRAMES == 0:
            return [f"Masks cut: {event.done} of {event.total} frames."]
    return []


def _thought(event: TurnSampled) -> str:
    return quoted(thought_of(event), _THOUGHT_CHARS)


def _found(event: SearchFinished) -> list[str]:
    if event.error:
        return [f"- failed: {quoted(event.error, 300)}"]
    told = [f"- {FATES[event.fate]}"] if event.fate in FATES else []
    if not event.hits and not told:
        told.append("- nothing was found")
    return told + [_hit(hit) for hit in event.hits]


def _hit(hit: FoundHit) -> str:
    said = f": {quoted(hit.snippet, 300)}" if hit.snippet else ""
    return f"- {quoted(hit.title, 150)}{said} {source_link(hit.source)}"
