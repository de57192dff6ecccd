"""What came of a run as HTML: the verdict, the files to take along, who says so; and failures with their remedy."""

from collections.abc import Sequence
from html import escape

from agent.page.markup import shown
from agent.page.steps import show_hit
from agent.result import Result
from agent.saving import MASKS, OVERLAY, RESULT, VIDEO
from agent.server.errors import error_body
from agent.server.runs import Finished
from agent.sources import source_numbers, told_sources
from agent.wording import place_of
from tools.errors import SegscoutError

_DOWNLOADS = {MASKS: "Masks · COCO", OVERLAY: "Picture · PNG", VIDEO: "Clip · MP4", RESULT: "Report · JSON"}
_TITLES = {
    "policy": "The model did not answer",
    "search": "The search failed",
    "segmenter": "The masks could not be cut",
    "media": "These media cannot be used",
    "request": "Not this time",
    "input": "One thing is missing",
}


def show_verdict(finished: Finished) -> str:
    """Return the card of a run that came to its end: what was found, its files, its sources, its cost."""
    result = finished.result
    kind, title, told = _verdict(result)
    links = "".join(
        f'<a class="file" href="../v1/files/{finished.run_id}/{name}" download="{name}">{label}</a>'
        for name, label in _DOWNLOADS.items()
        if name in finished.files
    )
    files = f'<nav class="files" aria-label="Downloads">{links}</nav>' if links else ""
    rest = f"{_choices(result)}{_objects(result)}{files}{_sources(result)}{_cost(result)}"
    return f'<section class="card {kind}"><h2>{title}</h2><p>{told}</p>{rest}</section>'


def show_failure(error: SegscoutError, *, whole: bool) -> str:
    """Return the card of a failure; what broke on this side is told `whole` only to those who run the server."""
    title = _TITLES.get(error.boundary, "That did not work")
    if whole:
        told = f"<p>{shown(error.message, 600)}</p><p><b>{shown(error.remedy, 300)}</b></p>"
    else:
        told = f"<p>{shown(error_body(error)['error']['message'], 600)}</p>"
    kept = "" if error.boundary == "input" else "<p><small>The media and the question are still here.</small></p>"
    return f'<section class="card failed" role="alert"><h2>{title}</h2>{told}{kept}</section>'


def show_progress(told: str, seconds: float) -> str:
    """Return the line that says that something goes on, and for how long it has."""
    return f'<p class="busy" role="status"><i></i>{escape(told)} · {seconds:.0f} s</p>'


def _verdict(result: Result) -> tuple[str, str, str]:
    """Return the kind of the card, its title, and a sentence as HTML."""
    asked = f"<q>{shown(result.query, 300)}</q>"
    if result.failure is not None:
        return "failed", "No answer was reached", f"{shown(result.failure.message, 300)} Asking otherwise may help."
    if result.question is not None:
        how = "Answer with its number in the field above, or with 0 for none of them."
        return "asked", "Which one is meant?", f"{asked} may be one of these. {how}"
    if result.absent:
        return "absent", "Not there", f"Nothing here is {asked}."
    count, frames = len(result.instances), len(result.media.frames)
    title = "Found" if count == 1 else f"Found {count} objects"
    where = f"In frame {result.keyframe}, followed through all {frames}" if frames > 1 else "In the picture"
    scores = ", ".join(f"{one.score:.2f}" for one in result.instances)
    return "found", title, f'{asked}<br>{where} · mask score {scores} <a class="up" href="#stage">See it ↑</a>'


def _choices(result: Result) -> str:
    """Return where each choice of a question is, in pixels of its frame."""
    if result.question is None:
        return ""
    return "<ol>" + "".join(f"<li>{escape(place_of(one))}</li>" for one in result.question.choices) + "</ol>"


def _objects(result: Result) -> str:
    """Return what each object is and which sources it rests on, if the policy says such things."""
    lines = [(one.label, source_numbers(result, one)) for one in result.instances]
    if not any(numbers for _, numbers in lines) and not (len(lines) > 1 and any(label for label, _ in lines)):
        return ""
    told = (f"<li>{_named(label, place)}{_resting(numbers)}</li>" for place, (label, numbers) in enumerate(lines, 1))
    return f'<ul class="objects" aria-label="Objects">{"".join(told)}</ul>'


def _named(label: str, place: int) -> str:
    return f"<b>{shown(label, 80)}</b>" if label else f"object {place}"


def _resting(numbers: Sequence[int]) -> str:
    if not numbers:
        return ""
    return f" <small>by {'source' if len(numbers) == 1 else 'sources'} {', '.join(map(str, numbers))}</small>"


def _sources(result: Result) -> str:
    if not result.evidence:
        return '<p class="ground">Nothing was looked up: this rests on the frames and on what the model knows.</p>'
    told = told_sources(result)
    lines = "".join(f"<li>{show_hit(hit)}</li>" for hit in told)
    return f"<details><summary>Sources ({len(told)})</summary><ol>{lines}</ol></details>"


def _cost(result: Result) -> str:
    usage = result.usage
    seconds = sum(usage.seconds.values())
    turns = "1 turn" if usage.turns == 1 else f"{usage.turns} turns"
    searches = "1 search" if usage.searches == 1 else f"{usage.searches} searches"
    return f'<p class="cost">{turns} · {searches} · {usage.completion_tokens} tokens · {seconds:.1f} s</p>'
