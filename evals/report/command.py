"""`segscout eval report`: the page of a run that was kept."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from evals.report.folder import report_folder


def report(
    folder: Annotated[Path, typer.Argument(help="What --out named.")],
    data: Annotated[str | None, typer.Option(help="Where the data set lies now, if it was moved.")] = None,
) -> None:
    """Write the report of a finished run again, without running anything."""
    path, without = report_folder(folder, data)
    if without:
        Console(stderr=True).print(f"without pictures: {without}", highlight=False, markup=False)
    typer.echo(path)
