"""`segscout label`: a folder in, one COCO file out."""

import asyncio
import sys
from contextlib import redirect_stdout
from typing import Any

import typer
from rich.console import Console

from agent.commands.request import Request
from agent.display import plain, print_step
from agent.labelling.job import LabelJob
from agent.labelling.run import label
from agent.reporting import FAILED, console_for, hush_loading, write_json
from evals.progress import found_bar
from evals.runs.work import Engine
from tools.settings import read_settings

_SHOWN = 10


def run_label(job: LabelJob, request: Request, engine: Engine, *, as_json: bool) -> None:
    """Label, report, and exit with 1 if every single item failed."""
    settings = read_settings()
    hush_loading(request.sam2_model or settings.sam2_model)
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died
        summary = asyncio.run(label(job, request, settings, engine, found_bar))
    show_summary(summary, console_for(as_json=as_json))
    if as_json:
        write_json(summary)
    if len(summary["failures"]) == summary["items"]:
        raise typer.Exit(FAILED)


def show_summary(summary: dict[str, Any], console: Console) -> None:
    """Say in a few lines what came out, and what failed."""
    failures = summary["failures"]
    for failure in failures[:_SHOWN]:
        told = f"{failure['file']}, {failure['query']}: {failure['boundary']}: {failure['message']}"
        print_step(console, "failed", plain(told), "red")
    if len(failures) > _SHOWN:
        print_step(console, "failed", f"and {len(failures) - _SHOWN} more; the file's info.runs names them all", "red")
    counts = f"found in {summary['found']}, absent in {summary['absent']}, failed in {len(failures)}"
    print_step(console, "result", f"{summary['items']} items: {counts}", "green")
    told = f"{summary['annotations']} masks in {summary['images']} images"
    print_step(console, "saved", f"{summary['out']}: {told}")
