"""`segscout segment`: a file and a query in, a folder of results out."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from agent.agent import SegmentationAgent
from agent.boxes import cut_boxes
from agent.commands.asking import ask, tell_open
from agent.commands.request import Checked, Request
from agent.display import EpisodeDisplay, plain, print_step
from agent.parts import choose_segmenter
from agent.reporting import ASKED, console_for, hush_loading, write_json
from agent.result import Result
from graphs.profiles import profile_for
from tools.media import Media
from tools.search.choosing import WEB_SECONDS, choose
from tools.segmenters.base import Box
from tools.settings import Settings, read_settings


def run_segment(request: Request, checked: Checked, *, as_json: bool) -> None:
    """Segment, show the steps, save and report; any SegscoutError leaves nothing behind."""
    settings = read_settings()
    boxes, out = checked.boxes, checked.out
    console = console_for(as_json=as_json)
    hush_loading(request.sam2_model or settings.sam2_model)
    with checked.media as media, EpisodeDisplay(console) as display:
        if boxes:
            result = _cut(request, settings, media, boxes, display)
        else:
            agent = make_agent(request, settings)
            kept = request.thread
            result = asyncio.run(watch(agent, media, request.query, display, kept.thread_id, kept.choice))
            if result.question and console.is_terminal:
                chosen = ask(result.question, display, console)
                result = asyncio.run(watch(agent, media, request.query, display, result.thread_id, chosen))
        if result.question:
            tell_open(result, request, console, as_json=as_json)
            raise typer.Exit(ASKED)
        files = save(result, out, display)
    summarise(result, console)
    tell_files(console, files)
    if as_json:
        write_json(report(result, out, files))


async def watch(
    agent: SegmentationAgent,
    media: Media,
    query: str,
    display: EpisodeDisplay,
    thread_id: str | None = None,
    choice: int | None = None,
) -> Result:
    """Run an episode, or go on with one, and show its events as they come."""
    try:
        async for item in agent.stream(media, query, thread_id=thread_id, choice=choice):
            if isinstance(item, Result):
                return item
            display.show(item)
    finally:
        await agent.aclose()
    raise AssertionError("a stream ends with its Result")


def save(result: Result, out: Path, display: EpisodeDisplay) -> list[Path]:
    """Save a result and return the files; an episode without an answer raises its error, and nothing is saved."""
    if result.failure is not None:
        raise result.failure.to_error()
    with display.bar("writing the overlay") as moved:
        return result.save(out, progress=moved)


def tell_files(console: Console, files: list[Path]) -> None:
    """Say where the results lie."""
    print_step(console, "saved", f"{files[0].parent}: {', '.join(path.name for path in files)}")


def report(result: Result, out: Path, files: list[Path]) -> dict[str, Any]:
    """Return what --json prints."""
    return result.to_dict() | {"out": str(out), "files": [path.name for path in files]}


def summarise(result: Result, console: Console) -> None:
    """Say in a few lines what came out."""
    if result.absent:
        verdict = "absent: nothing in the media matches"
    else:
        count = len(result.instances)
        found = "1 object" if count == 1 else f"{count} objects"
        verdict = f"found {found}, keyframe {result.keyframe} of {len(result.media.frames)} frames"
    usage = result.usage
    seconds = sum(usage.seconds.values())
    print_step(console, "result", f"{plain(result.query)}: {verdict}", "green")
    for instance in result.instances:
        if instance.evidence:
            sources = ", ".join(dict.fromkeys(plain(one.source, 200) for one in instance.evidence))
            print_step(console, "cited", f"{plain(instance.label, 120) or 'the object'}: {sources}")
    spent = f"{usage.turns} turns, {usage.searches} searches, {usage.completion_tokens} tokens, {seconds:.1f} s"
    print_step(console, "spent", spent)


def _cut(request: Request, settings: Settings, media: Media, boxes: Sequence[Box], display: EpisodeDisplay) -> Result:
    parts = request.parts(settings)
    segmenter = choose_segmenter(parts.segmenter, model=parts.sam2_model, device=parts.device)
    assert segmenter is not None
    return cut_boxes(media, boxes, segmenter, frame=request.frame, label=request.query.strip(), report=display.show)


def make_agent(request: Request, settings: Settings) -> SegmentationAgent:
    """Make the agent that a command line asks for; what it does not say, the settings do."""
    parts = request.parts(settings)
    chosen = choose(request.search, settings)
    limits = {**({"search_seconds": WEB_SECONDS} if chosen.web else {}), **request.limits}
    return SegmentationAgent(
        parts.policy,
        model=parts.model,
        profile=parts.profile,
        budget=replace(profile_for(parts.policy, parts.profile).budget, **limits),
        dialect=parts.dialect,
        segmenter=parts.segmenter,
        sam2_model=parts.sam2_model,
        knowledge_base=chosen.kb,
        search=chosen.web,
        device=parts.device,
        checkpoints=request.thread.file,
        clarify=request.thread.clarify,
    )
