"""Run the labelling of a folder: what is done is kept row by row, and at the end all of it is one COCO file."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from time import perf_counter
from typing import Any

from agent.commands.request import Request
from agent.labelling.dataset import write_dataset
from agent.labelling.job import LabelJob
from agent.labelling.plan import make_plan
from agent.labelling.work import LabelWork
from evals.runs.journal import Journal
from evals.runs.work import Engine
from graphs.endings import Ending
from graphs.policies.loading import without_credentials
from tools.search.choosing import KB
from tools.settings import Settings

Watch = Callable[[str, int, int], AbstractContextManager[Callable[[float], None]]]
"""Shows how far a run is; see `evals.progress.found_bar`."""


async def label(job: LabelJob, request: Request, settings: Settings, engine: Engine, watch: Watch) -> dict[str, Any]:
    """Label what is not yet labelled, write the COCO file, and return a summary as JSON holds it.

    `watch` is given what is counted, how many there are and how many are done, and then 1.0 for each item in which
    something was found. Raises InputError if rows of a run with other parts are there, and what the engine raises.
    """
    settled = settle(request, settings)
    start, queries = perf_counter(), job.queries
    with Journal(job.journal, header(job, settled)) as journal:
        plan = make_plan(job.files, queries, journal.rows)
        rows = dict(plan.done)
        work = LabelWork(job.folder.resolve(), {number: plan.items[number] for number in plan.todo}, settled)
        with watch(job.folder.name, len(plan.items), len(rows)) as show:
            async for row in engine.run(work, plan.todo):
                journal.append(row)
                rows[row["index"]] = row
                show(float(row["ending"] == Ending.FOUND))
        ordered = [rows[number] for number in plan.items]
        written = write_dataset(ordered, queries, job.out)
    endings = [row["ending"] for row in ordered]
    return {
        "out": str(job.out),
        "files": len(job.files),
        "queries": queries,
        "items": len(ordered),
        "done": len(plan.todo),
        "found": endings.count(Ending.FOUND),
        "absent": endings.count(Ending.ABSENT),
        "failures": [
            {"file": row["file"], "query": row["query"], **row["failure"]} for row in ordered if row["failure"]
        ],
        "images": len(written["images"]),
        "annotations": len(written["annotations"]),
        "engine": engine.name,
        "seconds": round(perf_counter() - start, 2),
    }


def settle(request: Request, settings: Settings) -> Request:
    """Return a request that means the same on every machine, whatever the settings there; keys are not in it."""
    search, name = request.search, request.search.name or settings.search
    kb = search.kb or (settings.kb if name in (None, KB) else None)
    said = replace(
        search,
        name=name,
        kb=None if kb is None else kb.resolve(),
        cache=search.cache or settings.search_cache,
        folder=(search.folder or settings.search_folder).resolve(),
        calls=search.calls or settings.search_calls,
        read_pages=settings.read_pages if search.read_pages is None else search.read_pages,
    )
    return replace(request, **asdict(request.parts(settings)), search=said)


def header(job: LabelJob, settled: Request) -> dict[str, Any]:
    """Return what decides the rows, as JSON holds it; files and queries may come and go."""
    search = settled.search
    return {
        "folder": str(job.folder.resolve()),
        "policy": without_credentials(settled.policy or ""),
        "model": settled.model,
        "profile": settled.profile,
        "dialect": settled.dialect,
        "segmenter": settled.segmenter,
        "sam2_model": settled.sam2_model,
        "search": search.name,
        "kb": None if search.kb is None else str(search.kb),
        "read_pages": search.read_pages,
        "limits": dict(settled.limits),
    }
