"""`segscout eval`: how good is it, on benchmarks that anyone can run again."""

import asyncio
import json
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated, Any, cast

import typer
from rich.console import Console
from rich.text import Text

from evals.benchmarks import ABOUT, NAMES
from evals.benchmarks.base import Row
from evals.benchmarks.emblems import record_of
from evals.display import emblems_tables, tables
from evals.emblems.names import Split
from evals.emblems.summary import summarise as summarise_emblems
from evals.progress import score_bar
from evals.report.command import report
from evals.runs.choosing import Concurrency, EngineName, GpusPerWorker, RayAddress, Workers, choose_engine
from evals.runs.evaluation import REPORT, evaluate
from evals.runs.spec import NO_SEARCH, RunSpec
from evals.runs.summary import Summary
from evals.runs.table import check_arrow
from evals.runs.work import Engine
from graphs.policies.loading import without_credentials
from tools.errors import InputError, SegscoutError
from tools.search import CacheMode

app = typer.Typer(name="eval", help="Measure how good it is.", no_args_is_help=True)


@app.callback()
def evaluations() -> None:
    """Measure how good it is."""


def benchmark(
    context: typer.Context,
    data: Annotated[str | None, typer.Option(help="The data set: its folder, or its id on the hub.")] = None,
    split: Annotated[str, typer.Option(help="Which part of it; by default what is usually reported.")] = "",
    seed: Annotated[int, typer.Option(help="Of Emblems: any seed gives fresh clips and fresh names.")] = 0,
    n: Annotated[
        int | None, typer.Option(help="How many samples, the first ones; of what is drawn, 100, or 200 frames.")
    ] = None,
    policy: Annotated[
        str, typer.Option(help="embedded, a folder, http://host:8000/v1, tokens+http://host:8000; Emblems: oracle.")
    ] = "embedded",
    model: Annotated[str | None, typer.Option(help="Which of the models that the address serves.")] = None,
    checkpoint: Annotated[str | None, typer.Option(help="Folder or hub id of what tokens+http serves.")] = None,
    profile: Annotated[str | None, typer.Option(help="What the checkpoint needs: embedded, qwen3-vl, …")] = None,
    segmenter: Annotated[str, typer.Option(help="sam2 or grabcut; Emblems: exact (the true masks).")] = "sam2",
    sam2_model: Annotated[str | None, typer.Option(help="Another SAM 2: hub id or folder.")] = None,
    search: Annotated[str | None, typer.Option(help="kb, tavily, serper or duckduckgo; Emblems bring theirs.")] = None,
    no_search: Annotated[bool, typer.Option("--no-search", help="Look nothing up.")] = False,
    kb: Annotated[Path | None, typer.Option(help="Folder of a knowledge base to search.")] = None,
    search_cache: Annotated[str, typer.Option(help="record, replay or off: keep and repeat web searches.")] = "off",
    no_reasoning: Annotated[
        bool, typer.Option("--no-reasoning", help="Open vocabulary: do not ask first what there is.")
    ] = False,
    boxes: Annotated[
        bool, typer.Option("--boxes", help="Open vocabulary: cut and score the policy's own boxes, too.")
    ] = False,
    clip: Annotated[
        str | None, typer.Option(help="Open vocabulary: a CLIP or SigLIP to name masks by, hub id or folder.")
    ] = None,
    classes: Annotated[
        Path | None, typer.Option(help="Open vocabulary: a file of class names, one a line, synonyms by commas.")
    ] = None,
    embedder: Annotated[
        str, typer.Option(help="Open vocabulary: hashing, minilm or e5, to take the policy's names for classes.")
    ] = "hashing",
    device: Annotated[str | None, typer.Option(help="For models in process: cuda:0, cpu, …")] = None,
    concurrency: Concurrency = 1,
    engine: EngineName = "local",
    workers: Workers = None,
    ray_address: RayAddress = None,
    gpus_per_worker: GpusPerWorker = None,
    out: Annotated[
        Path | None, typer.Option(help="Keep rows, table and report in this folder; the same again goes on with it.")
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="With --out: also run again what failed because a part was broken.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as one JSON object, last.")] = False,
) -> None:
    """Run the agent on a benchmark and score it. Every sample counts, those that fail as failures."""
    if no_search and search is not None:
        raise InputError("--search and --no-search exclude each other.", remedy="Leave one of them out.")
    if search_cache not in ("record", "replay", "off"):
        raise InputError(f"there is no search cache {search_cache!r}.", remedy="Choose record, replay or off.")
    if retry and out is None:
        raise InputError("--retry goes on with a run that is kept.", remedy="Name its folder with --out.")
    chosen = choose_engine(engine, concurrency, workers, ray_address, gpus_per_worker)
    spec = RunSpec(
        benchmark=str(context.info_name),
        data=data,
        split=split,
        seed=seed,
        n=n,
        policy=policy,
        model=model,
        checkpoint=checkpoint,
        profile=profile,
        segmenter=segmenter,
        sam2_model=sam2_model,
        search=NO_SEARCH if no_search else search,
        kb=None if kb is None else str(kb),
        search_cache=cast(CacheMode, search_cache),
        device=device,
        reasoning="off" if no_reasoning else "on",
        boxes=boxes,
        clip=clip,
        classes=None if classes is None else str(classes),
        embedder=embedder,
    )
    with redirect_stdout(sys.stderr):  # where Ray tells of workers that died
        plain, shown = asyncio.run(_run(spec, chosen, out, retry))
    typer.echo(json.dumps(plain)) if as_json else Console().print(*shown, sep="\n")


async def _run(spec: RunSpec, engine: Engine, out: Path | None, retry: bool) -> tuple[dict[str, Any], tuple[Any, ...]]:
    """Evaluate, showing how far it is; return the summary as JSON, and what to show of it."""
    if out is not None:
        check_arrow()
    summary, rows = await evaluate(spec, engine, folder=out, watch=score_bar, retry=retry)
    kept = () if out is None else _kept(rows, out)
    if spec.benchmark != "emblems":
        return summary.to_plain(), (*tables(summary), *kept)
    records = [record_of(row) for row in rows]
    split = cast(Split, spec.split or "test")
    plain = summarise_emblems(records, split=split, seed=spec.seed, search=spec.search != NO_SEARCH)
    return plain | _how(summary), (*emblems_tables(plain), *kept)


def _kept(rows: Sequence[Row], out: Path) -> tuple[Text, ...]:
    """Return where the report is, and what may be done about samples that count as zeros for no fault of the policy."""
    report = Text(f"report: {out / REPORT}")
    broken = sum(row.broken for row in rows)
    told = f"failed because a part was broken: {broken}; mend it and say --retry to have them run again"
    return (Text(told), report) if broken else (report,)


def _how(summary: Summary) -> dict[str, Any]:
    """Return what a summary of Emblems says of how it was run."""
    spec = summary.spec
    return {
        "episodes_per_second": round(summary.done / summary.wall_seconds, 3) if summary.done else None,
        "policy": without_credentials(spec.policy),
        "profile": spec.profile,
        "segmenter": spec.segmenter,
        "engine": summary.engine,
    }


for _name in NAMES:
    app.command(_name, short_help=ABOUT[_name])(benchmark)
app.command()(report)


def main() -> None:
    """Run `python -m evals.cli`; an error of ours is one line on standard error."""
    try:
        app(standalone_mode=True)
    except SegscoutError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
