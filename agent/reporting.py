"""How the commands speak: people on one stream, machines on the last line of standard output, errors in one line."""

import json
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from tools.errors import InputError, SegscoutError, boundary

OK, FAILED, MISUSED, ASKED = 0, 1, 2, 3
"""Exit codes; ASKED: a person must choose before there is an answer."""


def console_for(*, as_json: bool) -> Console:
    """Return where people read: standard output, or standard error when a machine reads the output."""
    return Console(stderr=as_json, highlight=False, markup=False)


def hush_loading(checkpoint: str | None = None) -> None:
    """Switch off the bars that transformers draws while it loads weights, unless `checkpoint` is to be downloaded.

    Must come before transformers is imported.
    """
    if checkpoint is None or Path(checkpoint).is_dir():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def write_json(value: dict[str, Any]) -> None:
    """Write one JSON object on one line of standard output."""
    typer.echo(json.dumps(value, ensure_ascii=True, allow_nan=False))


def guarded(run: Callable[[], None], *, debug: bool, as_json: bool) -> int:
    """Run a command and return its exit code; an error is one line that names the boundary and the remedy.

    0: done; 1: something failed; 2: the command was used wrongly, also by an InputError. With `as_json` the error is
    also the JSON object on standard output; with `debug` the traceback comes first.
    """
    try:
        with boundary(SegscoutError, "something unforeseen happened", remedy="Run again with --debug, and report it."):
            run()
    except SegscoutError as error:
        if debug:
            traceback.print_exception(error, file=sys.stderr)
        typer.echo(f"error: {one_line(str(error))}", err=True)
        if as_json:
            what = {"boundary": error.boundary, "message": error.message, "remedy": error.remedy}
            write_json({"error": what})
        return MISUSED if isinstance(error, InputError) else FAILED
    return OK


def one_line(text: str) -> str:
    """Return an error's text on one line, without characters that a terminal would obey."""
    return "".join(char for char in " ".join(text.split()) if char.isprintable())
