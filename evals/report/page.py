"""Render the report: templates and style beside this file, filled in with what the other files here compute."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from evals.benchmarks.base import Benchmark, Row
from evals.report.cases import choose_cases
from evals.report.charts import draw_histogram, draw_intervals
from evals.report.comparison import compare
from evals.report.failures import group_failures
from evals.report.rerun import command_of
from evals.runs.spec import NO_SEARCH, RunSpec
from evals.runs.summary import Summary
from graphs.policies.loading import without_credentials
from graphs.profiles import profile_for

_FOLDER = Path(__file__).parent


def render_page(summary: Summary, rows: Sequence[Row], benchmark: Benchmark | None, without: str = "") -> str:
    """Return the page; `without` says why there is no benchmark to take pictures from.

    The same arguments give the same text. Nothing but the style is markup that templates do not write themselves.
    """
    style = (_FOLDER / "style.css").read_text(encoding="utf-8")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    comparison = compare(summary.measures, summary.published)
    return environment.get_template("page.html").render(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode("ascii"),
        summary=summary,
        finished=datetime.fromisoformat(summary.finished),
        how=_how(summary.spec, any(row.query for row in rows)),
        spent=_spent(rows),
        comparison=comparison,
        intervals=draw_intervals(comparison),
        histogram=draw_histogram(rows),
        failures=group_failures(rows),
        failed=sum(bool(row.error) for row in rows),
        choices=choose_cases(rows, benchmark),
        without=without,
        command=command_of(summary.spec),
    )


def _how(spec: RunSpec, queries: bool) -> dict[str, str]:
    """Return what the numbers were measured with, by name; of the rest only what differs from its default.

    Profile and dialect are the agent's, which is asked queries; what labels whole pictures has neither.
    """
    shown = replace(spec, policy=without_credentials(spec.policy))
    told = {"policy": shown.policy}
    if queries:
        profile = profile_for(spec.policy, spec.profile)
        told |= {"profile": profile.name, "dialect": profile.dialect}
    search = spec.search or ("kb" if spec.kb else "what the benchmark brings")
    told |= {"segmenter": spec.segmenter, "search": "none" if search == NO_SEARCH else search, "seed": str(spec.seed)}
    return told | {
        field.name.replace("_", " "): str(value)
        for field in fields(shown)
        if field.name not in ("benchmark", "search") and (value := getattr(shown, field.name)) != field.default
    }


def _spent(rows: Sequence[Row]) -> dict[str, Any]:
    """Return seconds, turns and searches of a sample."""
    seconds = [row.seconds for row in rows]
    return {
        "median": float(np.median(seconds)),
        "p90": float(np.percentile(seconds, 90)),
        "turns": float(np.mean([row.turns for row in rows])),
        "searches": float(np.mean([row.searches for row in rows])),
    }
